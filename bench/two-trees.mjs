// Measures the cost of a change: the same calls on the builds of two checkouts, in turns, in one process.
//
//   npm run build && node bench/two-trees.mjs BEFORE AFTER [--rounds N] [--json FILE]
//
// BEFORE and AFTER are checkouts with a built addon and dist/. Every call of one is followed by the same of the other; ratios are
// AFTER's over BEFORE's, of medians and of the tenth of the calls that were fastest, which other work on the machine disturbs least.
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '100' }, json: { type: 'string' } },
});
const trees = positionals.map((tree) => resolve(tree));
if (trees.length !== 2) throw new Error('give two checkouts: node bench/two-trees.mjs BEFORE AFTER');
const rounds = Number(values.rounds);

/** Short runs of every kind on the bundled network, on one thread. */
async function callsOf(tree) {
  const { DiffusionModel, runProgram, samplers } = await import(pathToFileURL(join(tree, 'dist/index.js')).href);
  const model = await DiffusionModel.load(join(tree, 'models/mnist'), { device: 'cpu', threads: 1 });
  const program = samplers.ddim(model.schedule, { steps: 100 });
  const batcher = await model.batcher({ rows: 4 });
  const ddim = (steps, options) => model.sample({ sampler: 'ddim', steps, seed: 1, ...options });
  const zeros = (x) => new Float32Array(x.length);
  return {
    'a sample': () => ddim(10, { count: 1 }),
    '16 samples': () => ddim(3, { count: 16 }),
    '9 samples, 4 at once': () => ddim(3, { count: 9, batch: 4 }),
    'with progress and snapshots': () => ddim(10, { count: 2, snapshotEvery: 2, onProgress: () => undefined }),
    'guided by a function': () => ddim(10, { count: 1, guides: [zeros] }),
    'a program on a function': () => runProgram(program, { device: model.device, shape: [4, 8], model: (x) => x }),
    'three served requests': () =>
      Promise.all([1, 2, 3].map((seed) => batcher.sample({ sampler: 'ddim', steps: 4, count: 2, seed }))),
  };
}

async function timed(call) {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

function quantile(times, share) {
  return times.toSorted((a, b) => a - b)[Math.floor(share * times.length)];
}

const calls = await Promise.all(trees.map(callsOf));
const rows = [];
for (const name of Object.keys(calls[0])) {
  const times = [[], []];
  for (const each of calls) await each[name]();
  for (let round = 0; round < rounds; ++round) {
    for (const tree of round % 2 === 0 ? [0, 1] : [1, 0]) times[tree].push(await timed(calls[tree][name]));
  }
  const [before, after] = times.map((own) => ({ median: quantile(own, 0.5), fastest: quantile(own, 0.1) }));
  const row = { name, before: before.median, after: after.median, ratio: after.median / before.median };
  rows.push({ ...row, ratioOfFastest: after.fastest / before.fastest });
}
console.table(
  Object.fromEntries(
    rows.map(({ name, ...numbers }) => [
      name,
      Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, Number(value.toFixed(3))])),
    ]),
  ),
);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ rounds, rows }, null, 2)}\n`);
process.exit(0);
