// Draws every sampler at its defaults, at several numbers of steps, in one picture.
//
//   node bench/quality/contact-sheet.mjs [--out docs/samplers.png] [--steps 10,25,50] [--each 3]
import { parseArgs } from 'node:util';

import { DiffusionModel, Device, ImageBatch, samplers } from '../../dist/index.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'docs/samplers.png' },
    steps: { type: 'string', default: '10,25,50' },
    each: { type: 'string', default: '3' },
  },
});
const steps = values.steps.split(',').map(Number);
const each = Number(values.each);
const side = 28;
const device = Device.open({ device: 'cpu' });
const models = new Map();
for (const head of ['npr', 'sn', null]) {
  models.set(head, await DiffusionModel.load('models/mnist', { device, head }));
}

/** The numbers of steps that a sampler is drawn at; undefined where it chooses them. */
function stepsOf(sampler) {
  if (sampler === 'full-ddpm') return [10];
  return 'steps' in samplers[sampler].facts.options ? steps : [undefined];
}

async function strip(sampler) {
  const model = models.get(samplers[sampler].facts.head);
  const levels = new Uint8Array(steps.length * each * side * side);
  let end = 0;
  for (const count of stepsOf(sampler)) {
    const { images } = await model.sample({ sampler, ...(count && { steps: count }), seed: 1, count: each });
    levels.set(images.toUint8(), end);
    end += images.toUint8().length;
  }
  const columns = steps.length * each;
  return new ImageBatch(levels, [columns, 1, side, side]).grid({ columns, gap: 1 });
}

const names = Object.keys(samplers).filter((name) => name !== 'scheduler');
const strips = [];
for (const sampler of names) strips.push(await strip(sampler));

const [, , height, width] = strips[0].shape;
const sheet = new Uint8Array(strips.length * height * width);
strips.forEach((each, i) => sheet.set(each.toUint8(), i * height * width));
await new ImageBatch(sheet, [strips.length, 1, height, width]).save(values.out, {
  columns: 2,
  gap: 4,
  scale: 2,
  labels: names,
});
for (const model of models.values()) await model.close();
await device.close();
console.log(`${values.out}: columns of ${each} at ${steps.join(', ')} steps`);
