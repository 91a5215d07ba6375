// Measures what a server does under more load than it can carry: the table of RESULTS.md.
//
//   node bench/serve/goodput.mjs [--times 3] [--clients 16] [--seconds 30] [--rounds 5] [--max-wait 5] [--json]
//
// Capacity is what a closed loop of clients gets of the server, with HTTP, PNG and these clients on the machine. Then requests come at a
// multiple of it, whatever the server does. Both alternate. At last a process takes a core for a third of the time, and gives it back.
// Needs a build (`npm run build`) and a machine that does nothing else.
import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { startProcess } from './process.mjs';

const { values: flags } = parseArgs({
  options: {
    times: { type: 'string', default: '3' },
    clients: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '5' },
    'max-wait': { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const [times, rounds, seconds] = [flags.times, flags.rounds, flags.seconds].map(Number);
const MIX = [10, 25, 70];
const rowsOfRequest = MIX.reduce((sum, steps) => sum + steps) / MIX.length;
const generator = fileURLToPath(new URL('load.mjs', import.meta.url));

async function load(url, ...options) {
  const args = ['-n', '10', process.execPath, generator, '--url', url, '--mix', MIX.join(), '--json', ...options];
  const { stdout } = await promisify(execFile)('nice', args.map(String), { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout);
}

/** Takes a core from now on, at the priority of a program that somebody has started. */
function takeCore() {
  const running = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  process.once('exit', () => running.kill('SIGKILL'));
  return () => running.kill('SIGKILL');
}

/** Load at a multiple of the capacity, while in the second third of the time a core is taken. */
async function whileTaken(url, capacity) {
  const all = 3 * seconds;
  let giveBack;
  const taken = setTimeout(() => (giveBack = takeCore()), 1000 * seconds);
  const given = setTimeout(() => giveBack(), 2000 * seconds);
  try {
    return await load(url, '--rate', (times * capacity) / rowsOfRequest, '--seconds', all);
  } finally {
    clearTimeout(taken);
    clearTimeout(given);
    giveBack?.();
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const server = await startProcess('serve', ['--max-wait', flags['max-wait']]);
const [idle, over] = [[], []];
let taken;
try {
  // What is compiled and measured at first is no part of the capacity.
  await load(server.url, '--clients', flags.clients, '--seconds', 5);
  for (let round = 0; round < rounds; ++round) {
    idle.push(await load(server.url, '--clients', flags.clients, '--seconds', seconds));
    const capacity = median(idle.map(({ goodputRowsPerSecond }) => goodputRowsPerSecond));
    over.push(await load(server.url, '--rate', (times * capacity) / rowsOfRequest, '--seconds', seconds));
  }
  taken = await whileTaken(server.url, median(idle.map(({ goodputRowsPerSecond }) => goodputRowsPerSecond)));
} finally {
  await server.stop();
}

const rowOf = (name, reports) => ({
  load: name,
  rowsPerSecond: median(reports.map((each) => each.goodputRowsPerSecond)),
  refused: median(reports.map((each) => each.refusedShare)),
  lost: reports.reduce((sum, each) => sum + each.lost + each.unequal, 0),
  queuedMsP99: median(reports.map((each) => each.queuedMs.p99)),
  queuedMsMost: Math.max(...reports.map((each) => each.queuedMs.most)),
});
const rows = [
  rowOf(`${flags.clients} clients in turns`, idle),
  rowOf(`${flags.times} times as much`, over),
  rowOf('the same, a core taken for a third', [taken]),
];
if (flags.json) process.stdout.write(`${JSON.stringify({ rows, idle, over, taken })}\n`);
else {
  console.log('| load | rows a second | ratio | refused | lost, unequal | waits, p99, ms | at most |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const { load, rowsPerSecond, refused, lost, queuedMsP99, queuedMsMost } of rows) {
    const cells = [load, rowsPerSecond.toFixed(0), (rowsPerSecond / rows[0].rowsPerSecond).toFixed(3)];
    cells.push(`${(100 * refused).toFixed(0)} %`, lost, queuedMsP99.toFixed(0), queuedMsMost.toFixed(0));
    console.log(`| ${cells.join(' | ')} |`);
  }
}
