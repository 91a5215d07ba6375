// Measures what 1, 2, 4, … workers of one machine draw of the jobs of a queue: the table of RESULTS.md.
//
//   node bench/serve/workers.mjs [--counts 1,2,4] [--samples N] [--rounds N] [--steps N] [--json]
//
// Needs a build (`npm run build`), redis-server and a few minutes. Every worker is a process with one thread. The machine's other work,
// and more workers than there are cores, slow them down: the table is a statement about this machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { startProcess } from './process.mjs';
import { startRedis, until } from './redis.mjs';

const { values: flags } = parseArgs({
  options: {
    counts: { type: 'string', default: '1,2,4' },
    samples: { type: 'string', default: '2048' },
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
  },
});
const counts = flags.counts.split(',').map(Number);
const [samples, rounds, steps] = [flags.samples, flags.rounds, flags.steps].map(Number);
/** The jobs among which the samples are divided, as those of several clients. */
const JOBS = 4;

/** Starts a server or a worker of one thread. */
const start = (command, place) => startProcess(command, ['--threads', '1', '--rows', '16', ...place]);

async function send(url, seed, count) {
  const body = { model: 'mnist', sampler: 'ddim', steps, seed: String(seed), count };
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (answer.status !== 202) throw new Error(await answer.text());
  return (await answer.json()).id;
}

/** Follows the events of a job to their end, as a client does. */
async function followed(url, id) {
  const events = await (await fetch(`${url}/v1/jobs/${id}/events`)).text();
  if (!events.includes('event: done')) throw new Error(`job ${id} was not done`);
}

/** One measurement: how long all jobs take, and what Redis does for it. */
async function measure(redis, count, round) {
  const folder = mkdtempSync(join(tmpdir(), 'samples-'));
  const place = ['--queue', redis.url, '--results', pathToFileURL(folder).href];
  const server = await start('serve', place);
  const workers = await Promise.all(Array.from({ length: count }, () => start('worker', place)));
  try {
    const ready = async () =>
      (await Promise.all(workers.map(({ url }) => fetch(`${url}/readyz`)))).every(({ ok }) => ok);
    await until(ready);
    await followed(server.url, await send(server.url, 1e6 * round, 64 * count));
    const done = await redis.watch();
    const seeds = Array.from({ length: JOBS }, (_, job) => 1e6 * round + 1 + job);
    const ids = await Promise.all(seeds.map((seed) => send(server.url, seed, samples / JOBS)));
    await Promise.all(ids.map((id) => followed(server.url, id)));
    const { elapsed, commands, cpu } = await done();
    return { samplesPerSecond: samples / elapsed, commandsPerSecond: commands / elapsed, cpu: cpu / elapsed };
  } finally {
    for (const each of [...workers, server]) await each.stop();
    rmSync(folder, { recursive: true });
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const redis = await startRedis();
const results = new Map(counts.map((count) => [count, []]));
try {
  // Round by round, so that what else the machine does meets all of them.
  for (let round = 1; round <= rounds; ++round) {
    for (const count of counts) results.get(count).push(await measure(redis, count, round));
  }
} finally {
  await redis.stop();
}
const rows = counts.map((count) => {
  const of = (name) => median(results.get(count).map((each) => each[name]));
  return {
    workers: count,
    samplesPerSecond: of('samplesPerSecond'),
    commandsPerSecond: of('commandsPerSecond'),
    cpu: of('cpu'),
  };
});
if (flags.json) process.stdout.write(`${JSON.stringify({ samples, steps, rounds, rows, all: [...results] })}\n`);
else {
  console.log('| workers | samples a second | ratio | commands of Redis a second | share of a core |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const { workers, samplesPerSecond, commandsPerSecond, cpu } of rows) {
    const ratio = samplesPerSecond / rows[0].samplesPerSecond;
    const cells = [workers, samplesPerSecond.toFixed(1), ratio.toFixed(2), commandsPerSecond.toFixed(0)];
    console.log(`| ${[...cells, `${(100 * cpu).toFixed(1)} %`].join(' | ')} |`);
  }
}
