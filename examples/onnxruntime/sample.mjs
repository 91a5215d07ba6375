// A sampler of dpm-native drives a network that runs in onnxruntime-node: the schedule, the analytic variances and the
// fused update are ours, the evaluation is theirs. The two engines' predictions are compared on the way.
//
//   node sample.mjs [MODEL.onnx] [OUT.png]
import { readFileSync, writeFileSync } from 'node:fs';

import { DiffusionModel, NoiseSchedule, runProgram, samplers } from 'dpm-native';
import { encode } from 'fast-png';
import ort from 'onnxruntime-node';

const path = process.argv[2] ?? 'mnist.onnx';
const file = process.argv[3] ?? 'onnxruntime.png';
const folder = new URL('../../models/mnist/', import.meta.url);
const shape = [4, 1, 28, 28];

const session = await ort.InferenceSession.create(path);
async function model(x, t) {
  const times = new Float32Array(shape[0]).fill(0).map((_, i) => (typeof t === 'number' ? t : t[i]));
  const feeds = { x: new ort.Tensor('float32', x, shape), t: new ort.Tensor('float32', times, [shape[0]]) };
  return (await session.run(feeds)).epsilon.data;
}

const schedule = NoiseSchedule.fromSchedulerConfig(
  JSON.parse(readFileSync(new URL('scheduler/scheduler_config.json', folder), 'utf8')),
);
const gamma = JSON.parse(readFileSync(new URL('gamma.json', folder), 'utf8'));
const program = samplers['analytic-ddpm'](schedule, { steps: 25, gamma });
const result = await runProgram(program, { shape, seed: 1, model });

// Two engines round differently and sampling amplifies that: predictions agree closely, final pixels loosely.
const own = await DiffusionModel.load(folder.pathname, { device: 'cpu' });
const x = new Float32Array(784 * 4).map((_, i) => Math.sin(i));
const t = [999, 600, 300, 5];
const ours = (await own.unet.forward(x, t)).out;
const theirs = await model(x, t);
const difference = Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])));
console.log(`one evaluation, largest difference between the engines: ${difference.toExponential(1)}`);
if (!(difference < 1e-4)) throw new Error('the engines disagree');
await own.close();

const data = new Uint8Array(28 * 28 * 4);
result.forEach((value, i) => {
  const [sample, y, column] = [Math.floor(i / 784), Math.floor(i / 28) % 28, i % 28];
  data[y * 112 + sample * 28 + column] = Math.round(255 * Math.min(Math.max((value + 1) / 2, 0), 1));
});
writeFileSync(file, encode({ width: 112, height: 28, data, channels: 1 }));
console.log(`4 digits: ${file}`);
