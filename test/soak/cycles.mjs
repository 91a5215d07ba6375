// Loads the bundled model, samples alone and in a batch and closes it, again and again; then terminates workers in the
// middle of sampling. Fails when memory grows by more than 50 kB a cycle over the second half, or when the process does not survive.
//
//   node --expose-gc test/soak/cycles.mjs [CYCLES] [TERMINATIONS]
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { DiffusionModel } from '../../dist/index.js';

const cycles = Number(process.argv[2] ?? 1000);
const terminations = Number(process.argv[3] ?? 100);
const folder = fileURLToPath(new URL('../../models/mnist', import.meta.url));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function cycle() {
  const model = await DiffusionModel.load(folder, { device: 'cpu', threads: 2 });
  await model.sample({ count: 2, sampler: 'ddim', steps: 2 });
  const batcher = await model.batcher({ rows: 2 });
  await Promise.all([1, 2].map((seed) => batcher.sample({ sampler: 'ddim', steps: 2, seed })));
  await batcher.close();
  await model.close();
}

async function used() {
  await pause(20);
  globalThis.gc();
  await pause(20);
  globalThis.gc();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return rss - heapTotal + heapUsed;
}

async function terminate(delay) {
  const worker = new Worker(new URL('../support/sampling-worker.mjs', import.meta.url), {
    workerData: { model: folder },
  });
  await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  await pause(delay);
  await worker.terminate();
}

for (let i = 0; i < cycles / 2; ++i) await cycle();
const before = await used();
for (let i = 0; i < cycles / 2; ++i) await cycle();
const growth = ((await used()) - before) / (cycles / 2);
console.log(`${cycles} cycles: ${(growth / 1024).toFixed(2)} KiB a cycle over the second half`);
if (growth > 50_000) throw new Error('memory grows');

for (let i = 0; i < terminations; ++i) await terminate(i % 30);
await cycle();
console.log(`${terminations} workers terminated while sampling`);
