// The card against the reference outputs of the fixtures, a classifier's gradients among them, and against the cpu along its own MNIST trajectory: predictions and
// updates, never final images, in which the smallest differences have grown.
import { join } from 'node:path';

import { readSafetensorsHeader } from '../../dist/files/safetensors.js';
import { readFloats } from '../../dist/files/tensor-data.js';
import { Classifier, runProgram, samplers } from '../../dist/index.js';
import { Agreement, arithmetics, normals, wider } from './agreement.mjs';
import { withModel } from './networks.mjs';
import { compareAtRealSize } from './real-size.mjs';
import { packagePath, settings } from './settings.mjs';

const steps = settings.quick ? 3 : 10;
const count = settings.quick ? 1 : 4;
const agreement = new Agreement();

async function fixture(network) {
  const folder = packagePath(`test/fixtures/unet/${network}`);
  const input = await readSafetensorsHeader(join(folder, 'input.safetensors'));
  const read = async (name) => (await readFloats(input, name)).data;
  const [x, t] = [await read('x'), await read('t')];
  const classLabels = input.tensors.has('class_labels') ? await read('class_labels') : undefined;
  const expected = (await readFloats(await readSafetensorsHeader(join(folder, 'expected.safetensors')), 'out')).data;
  for (const arithmetic of arithmetics) {
    await withModel(folder, { device: 'cuda', ...arithmetic.options }, async ({ unet }) => {
      agreement.compare(network, arithmetic, [[(await unet.forward(x, t, { classLabels })).out, expected]]);
    });
  }
}

/** Compares a classifier's logits and their gradients, relative to the largest element. Gradients have errors of both directions. */
async function classifier(network) {
  const folder = packagePath(`test/fixtures/unet/${network}`);
  const golden = await readSafetensorsHeader(packagePath('test/fixtures/gradients/guidance/adm-class.safetensors'));
  const read = async (name) => (await readFloats(golden, name)).data;
  const [x, labels, t] = [await read('x'), await read('labels'), 803];
  const [logits, gradient] = [await read(`logits.${t}`), await read(`gradient.${t}`)];
  const size = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const parts = (values) => values.map((value) => value / size);
  for (const arithmetic of arithmetics) {
    const loaded = await Classifier.load(folder, { device: 'cuda', ...arithmetic.options });
    try {
      agreement.compare(`${network}, logits`, arithmetic, [[await loaded.logits(x, t), logits]]);
      agreement.compare(`${network}, gradients`, wider(arithmetic), [
        [parts(await loaded.gradient(x, t, labels)), parts(gradient)],
      ]);
    } finally {
      await loaded.close();
    }
  }
}

/** Computes a trajectory on the cpu: for each record the state before it, the prediction, the noise and the state after it. */
async function trajectory(cpu) {
  const program = samplers['analytic-ddpm'](cpu.schedule, { steps, gamma: cpu.gamma });
  const shape = [count, ...cpu.sampleShape];
  const elements = shape.reduce((a, b) => a * b);
  const all = normals(elements * (steps + 1));
  const [init, ...noise] = Array.from({ length: steps + 1 }, (_, i) => all.slice(i * elements, (i + 1) * elements));
  const { snapshots } = await cpu.run(program, { count, init, noise, snapshotEvery: 1 });
  const states = [init, ...snapshots.map(({ images }) => images.data)];
  const path = [];
  // The noise has a slice for each record that adds noise, in their order.
  let drawn = 0;
  for (const [i, record] of program.records.entries()) {
    const { out: prediction } = await cpu.unet.forward(states[i], record.time);
    const own = record.variance.kind === 'none' ? undefined : [noise[drawn++]];
    path.push({ record, state: states[i], prediction, noise: own, next: states[i + 1] });
  }
  return { program, shape, path };
}

/**
 * The last prediction apart, whose noise is so little that it follows from small differences of the image's: there every rounding weighs
 * more, in proportion to its unit. In bf16 the cpu differs from itself by 7e-2 (L2) there and by at most 5e-3 before, the emulated card by
 * 4e-2 and 4e-3, and in f16, whose unit is an eighth, by an eighth of that.
 */
async function predictions(model, arithmetic, { path }) {
  const pairs = [];
  for (const { record, state, prediction } of path) {
    pairs.push([(await model.unet.forward(state, record.time)).out, prediction]);
  }
  const last = pairs.pop();
  agreement.compare(`MNIST, ${pairs.length} predictions`, arithmetic, pairs);
  agreement.compare('MNIST, the last prediction', wider(arithmetic), [last]);
}

/** Runs each record alone, from the cpu's state and prediction. */
async function updates(model, arithmetic, { program, shape, path }) {
  const pairs = [];
  for (const { record, state, prediction, noise, next } of path) {
    const alone = { ...program, records: [record] };
    const predict = () => Promise.resolve(prediction);
    pairs.push([await runProgram(alone, { device: model.device, shape, init: state, noise, model: predict }), next]);
  }
  agreement.compare(`MNIST, ${steps} updates`, arithmetic, pairs);
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

for (const network of ['diffusers-ddpm', 'diffusers-adm']) await agreement.attempt(network, () => fixture(network));
await agreement.attempt('classifier-attention', () => classifier('classifier-attention'));
await compareAtRealSize(agreement);
await agreement.attempt('MNIST', alongTrajectory);
agreement.conclude();
