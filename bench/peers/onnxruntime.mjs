// One evaluation of ddpm-cifar10-32 (random weights) here and in onnxruntime-node: same weights, outputs compared first,
// equal threads, the two alternated round by round. Prints medians, the ratio of the medians and one JSON line a batch.
//
//   cd bench/peers && npm install --ignore-scripts && node onnxruntime.mjs [THREADS] [ROUNDS]
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ort from 'onnxruntime-node';

import { parseDiffusersConfig } from '../../dist/checkpoint/diffusers-config.js';
import { diffusersNetwork } from '../../dist/checkpoint/diffusers.js';
import { requiredTensors } from '../../dist/checkpoint/network.js';
import { writeSafetensors } from '../../dist/checkpoint/tensor-data.js';
import { benchConfigurations } from '../../dist/cli/bench/configurations.js';
import { DiffusionModel } from '../../dist/index.js';

const threads = Number(process.argv[2] ?? 2);
const rounds = Number(process.argv[3] ?? 9);
const name = 'ddpm-cifar10-32';
const config = benchConfigurations[name];

/** A model folder of random weights that keep activations of order one. */
async function writeModel(folder) {
  mkdirSync(join(folder, 'unet'), { recursive: true });
  mkdirSync(join(folder, 'scheduler'));
  writeFileSync(join(folder, 'unet', 'config.json'), JSON.stringify(config));
  writeFileSync(
    join(folder, 'scheduler', 'scheduler_config.json'),
    JSON.stringify({ _class_name: 'DDPMScheduler', beta_schedule: 'linear' }),
  );
  const tensors = new Map();
  for (const [key, shape] of requiredTensors(diffusersNetwork(parseDiffusersConfig(config, name), name))) {
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    const spread = shape.length > 1 ? Math.sqrt(3 / fanIn) : 0.1;
    const centre = shape.length === 1 && key.endsWith('.weight') ? 1 : 0;
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < data.length; ++i) data[i] = centre + spread * (2 * Math.random() - 1);
    tensors.set(key, { shape, data });
  }
  await writeSafetensors(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), tensors);
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function time(body) {
  const start = performance.now();
  await body();
  return performance.now() - start;
}

async function compare(model, file, batch) {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    freeDimensionOverrides: { batch },
  });
  const x = new Float32Array(batch * 3072).map((_, i) => Math.sin(i));
  const t = new Float32Array(batch).map((_, i) => 13 + 50 * i);
  const out = new Float32Array(x.length);
  const feeds = { x: new ort.Tensor('float32', x, [batch, 3, 32, 32]), t: new ort.Tensor('float32', t, [batch]) };
  const ours = () => model.unet.forward(x, t, { out });
  const theirs = () => session.run(feeds);

  await ours();
  const expected = (await theirs()).epsilon.data;
  const scale = Math.max(1, ...expected.map(Math.abs));
  const error = Math.max(...out.map((value, i) => Math.abs(value - expected[i]))) / scale;
  if (!(error < 5e-5)) throw new Error(`the engines differ by ${error} at batch ${batch}`);

  // An engine's threads spin for a while after their work; the other arm starts when they sleep.
  const settle = () => new Promise((resolve) => setTimeout(resolve, 100));
  const [our, their] = [[], []];
  for (let round = 0; round < rounds; ++round) {
    await settle();
    our.push(await time(ours));
    await settle();
    their.push(await time(theirs));
  }
  await session.release();
  const row = { network: name, threads, batch, error, ours: median(our), onnxruntime: median(their) };
  console.log(JSON.stringify({ ...row, ratio: row.onnxruntime / row.ours }));
  console.error(
    `batch ${batch}: ${row.ours.toFixed(1)} ms here, ${row.onnxruntime.toFixed(1)} ms in onnxruntime, ` +
      `ratio ${(row.onnxruntime / row.ours).toFixed(2)}`,
  );
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  await writeModel(folder);
  const exporter = fileURLToPath(new URL('../../examples/onnxruntime/export.mjs', import.meta.url));
  const file = join(folder, 'model.onnx');
  execFileSync(process.execPath, [exporter, file, folder], { stdio: 'ignore' });
  const model = await DiffusionModel.load(folder, { device: 'cpu', threads });
  for (const batch of [1, 4, 16]) await compare(model, file, batch);
  await model.close();
} finally {
  rmSync(folder, { recursive: true });
}
