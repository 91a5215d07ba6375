// Every sampler at its defaults, at several numbers of steps, in one picture; and what noise each leaves where digits never are.
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
/** Around a digit nothing is drawn. */
const BORDER = 2;

/** Root mean square of what the border of images is off black, in grey levels. */
function grain(levels, count) {
  let [sum, pixels] = [0, 0];
  for (let i = 0; i < count * side * side; ++i) {
    const [x, y] = [i % side, Math.floor(i / side) % side];
    if (Math.min(x, y, side - 1 - x, side - 1 - y) >= BORDER) continue;
    sum += levels[i] ** 2;
    ++pixels;
  }
  return Math.sqrt(sum / pixels);
}

const device = Device.open({ device: 'cpu' });
const models = new Map();
for (const head of ['npr', 'sn', null]) {
  models.set(head, await DiffusionModel.load('models/mnist', { device, head }));
}

const strips = [];
const names = Object.keys(samplers).filter((name) => name !== 'scheduler');
for (const sampler of names) {
  const { facts } = samplers[sampler];
  const model = models.get(facts.head);
  const counts =
    'steps' in facts.options && sampler !== 'full-ddpm' ? steps : [sampler === 'full-ddpm' ? 10 : undefined];
  const noise = [];
  const drawn = [];
  for (const count of counts) {
    const { images } = await model.sample({ sampler, ...(count && { steps: count }), seed: 1, count: each });
    noise.push(grain(images.toUint8(), each).toFixed(1));
    drawn.push(images.toUint8());
  }
  console.log(
    `${sampler.padEnd(24)} ${counts.map((count, i) => `${count ?? 'own'}: ${noise[i].padStart(5)}`).join('  ')}`,
  );
  const levels = new Uint8Array(steps.length * each * side * side);
  drawn.forEach((part, i) => levels.set(part, i * part.length));
  const strip = new ImageBatch(levels, [steps.length * each, 1, side, side]).grid({
    columns: steps.length * each,
    gap: 1,
  });
  strips.push({ sampler, strip });
}

const { shape } = strips[0].strip;
const [, , height, width] = shape;
const sheet = new Uint8Array(strips.length * height * width);
strips.forEach(({ strip }, i) => sheet.set(strip.toUint8(), i * height * width));
await new ImageBatch(sheet, [strips.length, 1, height, width]).save(values.out, {
  columns: 2,
  gap: 4,
  scale: 2,
  labels: strips.map(({ sampler }) => sampler),
});
for (const model of models.values()) await model.close();
await device.close();
console.log(`${values.out}: columns of ${each} at ${steps.join(', ')} steps`);
