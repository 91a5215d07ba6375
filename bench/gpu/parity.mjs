// The card against the reference outputs of the fixtures and against the cpu along its own MNIST trajectory: predictions and
// updates, never final images, in which the smallest differences have grown.
import { join } from 'node:path';

import { readSafetensorsHeader } from '../../dist/files/safetensors.js';
import { readFloats } from '../../dist/files/tensor-data.js';
import { runProgram, samplers } from '../../dist/index.js';
import { withModel } from './networks.mjs';
import { packagePath, printRow, settings } from './settings.mjs';

/** Largest difference, relative to the largest value or one; and, for bf16, relative L2. */
const arithmetics = [
  { name: 'f32 exact', options: { dtype: 'f32', exact: true }, largest: 2e-5 },
  { name: 'f32', options: { dtype: 'f32' }, largest: 5e-5 },
  { name: 'f32, tf32', options: { dtype: 'f32', tf32: true }, largest: 5e-3 },
  { name: 'f16', options: { dtype: 'f16' }, largest: 5e-3 },
  { name: 'bf16', options: { dtype: 'bf16' }, largest: 3e-2, l2: 2e-2 },
];
const steps = settings.quick ? 3 : 10;
const count = settings.quick ? 1 : 4;
let failures = 0;

function largestDifference(actual, expected) {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  // NaN must not get lost in a maximum.
  return (
    actual.reduce((most, value, i) => {
      const difference = Math.abs(value - expected[i]);
      return difference <= most ? most : difference;
    }, 0) / size
  );
}

function relativeL2(actual, expected) {
  const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
  const differences = Float64Array.from(actual, (value, i) => value - expected[i]);
  return Math.sqrt(squares(differences) / squares(Float64Array.from(expected)));
}

function report(subject, arithmetic, measure, values, tolerance) {
  const value = values.reduce((most, each) => (each <= most ? most : each), 0);
  const passed = value <= tolerance;
  if (!passed) ++failures;
  printRow({ subject, arithmetic, measure, value, tolerance, passed });
}

function compare(subject, { name, largest, l2 }, pairs) {
  report(
    subject,
    name,
    'largest',
    pairs.map(([a, b]) => largestDifference(a, b)),
    largest,
  );
  if (l2 !== undefined)
    report(
      subject,
      name,
      'L2',
      pairs.map(([a, b]) => relativeL2(a, b)),
      l2,
    );
}

async function fixture(network) {
  const folder = packagePath(`test/fixtures/unet/${network}`);
  const input = await readSafetensorsHeader(join(folder, 'input.safetensors'));
  const read = async (name) => (await readFloats(input, name)).data;
  const [x, t] = [await read('x'), await read('t')];
  const classLabels = input.tensors.has('class_labels') ? await read('class_labels') : undefined;
  const expected = (await readFloats(await readSafetensorsHeader(join(folder, 'expected.safetensors')), 'out')).data;
  for (const arithmetic of arithmetics) {
    await withModel(folder, { device: 'cuda', ...arithmetic.options }, async ({ unet }) => {
      compare(network, arithmetic, [[(await unet.forward(x, t, { classLabels })).out, expected]]);
    });
  }
}

/** Normal numbers, always the same ones. */
function normals(length) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return new Float32Array(length).map(() => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** State before every record, prediction there, noise, and state after it, on the cpu. */
async function trajectory(cpu) {
  const program = samplers['analytic-ddpm'](cpu.schedule, { steps, gamma: cpu.gamma });
  const shape = [count, ...cpu.sampleShape];
  const elements = shape.reduce((a, b) => a * b);
  const all = normals(elements * (steps + 1));
  const [init, ...noise] = Array.from({ length: steps + 1 }, (_, i) => all.slice(i * elements, (i + 1) * elements));
  const { snapshots } = await cpu.run(program, { count, init, noise, snapshotEvery: 1 });
  const states = [init, ...snapshots.map(({ images }) => images.data)];
  const path = [];
  // Slices go to the records that add noise, in their order.
  let drawn = 0;
  for (const [i, record] of program.records.entries()) {
    const { out: prediction } = await cpu.unet.forward(states[i], record.time);
    const own = record.variance.kind === 'none' ? undefined : [noise[drawn++]];
    path.push({ record, state: states[i], prediction, noise: own, next: states[i + 1] });
  }
  return { program, shape, path };
}

async function predictions(model, arithmetic, { path }) {
  const pairs = [];
  for (const { record, state, prediction } of path) {
    pairs.push([(await model.unet.forward(state, record.time)).out, prediction]);
  }
  compare(`MNIST, ${steps} predictions`, arithmetic, pairs);
}

/** Every record alone, from the cpu's state and prediction. */
async function updates(model, arithmetic, { program, shape, path }) {
  const pairs = [];
  for (const { record, state, prediction, noise, next } of path) {
    const alone = { ...program, records: [record] };
    const predict = () => Promise.resolve(prediction);
    pairs.push([await runProgram(alone, { device: model.device, shape, init: state, noise, model: predict }), next]);
  }
  compare(`MNIST, ${steps} updates`, arithmetic, pairs);
}

async function alongTrajectory() {
  const folder = packagePath('models/mnist');
  const along = await withModel(folder, { device: 'cpu', exact: true }, trajectory);
  for (const arithmetic of arithmetics) {
    await withModel(folder, { device: 'cuda', ...arithmetic.options }, async (model) => {
      await predictions(model, arithmetic, along);
      // States are float32 whatever the network computes in.
      if (arithmetic.options.exact === true) await updates(model, arithmetic, along);
    });
  }
}

for (const network of ['diffusers-ddpm', 'diffusers-adm']) await fixture(network);
await alongTrajectory();
if (failures > 0) {
  console.error(`${failures} differences are too large`);
  process.exitCode = 1;
}
