// Loads the bundled model, does everything with it and closes it, again and again; then terminates workers in the middle of sampling.
// Fails when memory grows by more than 10 kB a cycle behind the first tenth, or when the process does not survive.
//
//   node --expose-gc test/soak/cycles.mjs [CYCLES] [TERMINATIONS]
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { Classifier, DiffusionModel, flowLikelihood, translate } from '../../dist/index.js';

const cycles = Number(process.argv[2] ?? 1000);
const terminations = Number(process.argv[3] ?? 100);
const folder = fileURLToPath(new URL('../../models/mnist', import.meta.url));
/** Bytes a cycle. */
const MOST_GROWTH = 10_000;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const pixels = 28 * 28;
const domains = fileURLToPath(new URL('../../models/mnist-domains', import.meta.url));
const classes = fileURLToPath(new URL('../../models/mnist-classifier', import.meta.url));
const short = { count: 2, sampler: 'ddim', steps: 2 };

async function derive(model) {
  const x = new Float32Array(2 * pixels).fill(0.5);
  await model.unet.pullback(x, 5, { cotangent: x });
  await model.unet.pushforward(x, 5, { tangent: x });
  const [tensor, gradient] = [1, 2].map(() => model.device.tensor([2, 1, 28, 28]));
  await tensor.write(x);
  await model.unet.pullback(tensor, 5, { cotangent: tensor, gradient });
  tensor.free();
}

async function guide(model) {
  const classifier = await Classifier.load(classes, { device: model.device });
  await model.sample({ ...short, guides: [classifier.guide({ labels: 3 })] });
  await model.sample({ ...short, guides: [(x) => x.map((value) => -0.1 * value)], constrain: (x) => x });
  await model.sample({ count: 1, sampler: 'dpm-solver-adaptive', atol: 0.1, rtol: 0.1 });
  for await (const _ of model.stream({ ...short, batch: 1 })) break;
  await classifier.close();
}

async function move(model) {
  const extractor = await Classifier.load(domains, { device: model.device });
  const image = new Float32Array(pixels).map((_, i) => (i % 3 === 0 ? 1 : -1));
  await translate(model, image, { extractor, start: 0.01, stride: 5 });
  await flowLikelihood(model, image, { tStart: 0.01, tEnd: 0.005, atol: 1, rtol: 1 });
  await extractor.close();
}

async function serve(model) {
  const batcher = await model.batcher({ rows: 2 });
  await Promise.all([1, 2].map((seed) => batcher.sample({ sampler: 'ddim', steps: 2, seed })));
  // What runs at the end is ended.
  const running = batcher.sample({ sampler: 'ddim', steps: 900 }).catch(() => undefined);
  await batcher.close();
  await running;
}

/** Whatever a server might do between loading a model and closing it; a guide that never answers is left behind. */
async function cycle() {
  const model = await DiffusionModel.load(folder, { device: 'cpu', threads: 2 });
  await model.sample(short);
  await derive(model);
  await guide(model);
  await move(model);
  await serve(model);
  let asked;
  const isAsked = new Promise((resolve) => (asked = resolve));
  const silent = () => new Promise(() => asked());
  const left = model.sample({ ...short, guides: [silent] }).catch(() => undefined);
  await isAsked;
  await model.close();
  await left;
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

/** Least squares: bytes a cycle. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, bytes]) => bytes))];
  const along = points.map(([at, bytes]) => (at - x) * (bytes - y));
  return mean(along) / mean(points.map(([at]) => (at - x) ** 2));
}

const every = Math.max(1, Math.floor(cycles / 20));
const curve = [];
for (let done = 1; done <= cycles; ++done) {
  await cycle();
  if (done % every === 0) curve.push([done, await used()]);
}
console.log(curve.map(([done, bytes]) => `${done}: ${(bytes / 2 ** 20).toFixed(1)} MiB`).join(', '));
const growth = slope(curve.filter(([done]) => done > cycles / 10));
console.log(`${cycles} cycles: ${(growth / 1024).toFixed(2)} KiB a cycle behind the first tenth`);
if (growth > MOST_GROWTH) throw new Error('memory grows');

for (let i = 0; i < terminations; ++i) await terminate(i % 30);
await cycle();
console.log(`${terminations} workers terminated while sampling`);
