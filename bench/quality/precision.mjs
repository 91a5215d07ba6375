// Measures how far whole runs in bfloat16 and float32 are from runs in float64, a row for each sampler.
//
//   node bench/quality/precision.mjs [--count 8] [--steps 25] [--sampler ddim,unipc] [--reference reference]
//
// `--reference cpu` compares with float32 in `exact` instead, in a fortieth of the time.
import { parseArgs } from 'node:util';

import { DiffusionModel, samplers } from '../../dist/index.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '8' },
    steps: { type: 'string', default: '25' },
    sampler: { type: 'string' },
    reference: { type: 'string', default: 'reference' },
  },
});
const count = Number(values.count);
const names = values.sampler?.split(',') ?? Object.keys(samplers).filter((name) => name !== 'scheduler');
const all = [
  ['bf16', { device: 'cpu', dtype: 'bf16' }],
  ['f32', { device: 'cpu' }],
  ['f32, exact', { device: 'cpu', exact: true }],
];

const columns = values.reference === 'cpu' ? all.slice(0, 2) : all;

async function draw(sampler, device) {
  const { facts } = samplers[sampler];
  const model = await DiffusionModel.load('models/mnist', { ...device, head: facts.head });
  const steps = Math.max(Number(values.steps), facts.fewestSteps ?? 0);
  const given = 'steps' in facts.options ? { steps: sampler === 'full-ddpm' ? 10 : steps } : {};
  const { images } = await model.sample({ sampler, ...given, seed: 1, count });
  await model.close();
  return images.data;
}

console.log(`| sampler | ${columns.map(([name]) => `${name}: rms | largest`).join(' | ')} |`);
console.log(`| --- |${' ---: | ---: |'.repeat(columns.length)}`);
for (const sampler of names) {
  const wanted = await draw(
    sampler,
    values.reference === 'cpu' ? { device: 'cpu', exact: true } : { device: 'reference' },
  );
  const cells = [];
  for (const [, device] of columns) {
    const found = await draw(sampler, device);
    const away = wanted.map((value, i) => Math.abs(value - found[i]));
    const rms = Math.sqrt(away.reduce((sum, value) => sum + value * value, 0) / away.length);
    cells.push(rms.toExponential(1), Math.max(...away).toExponential(1));
  }
  console.log(`| \`${sampler}\` | ${cells.join(' | ')} |`);
}
