// Measures what making a sampler's program costs the event loop: milliseconds, least of some rounds, of compiling here, and of
// receiving the program from another thread, by the number of steps.
//
//   npm run build:ts && node bench/compile.mjs [ROUNDS] [SAMPLER...]
import { deserialize, serialize } from 'node:v8';

import { compileTask, NoiseSchedule, samplerNames, samplers } from '../dist/index.js';

const [rounds = '5', ...names] = process.argv.slice(2);
const { recipe } = NoiseSchedule.linear();
const m = Float64Array.from({ length: 1001 }, (_, n) => 0.9 + 1e-4 * n);
const gamma = { schedule: 'linear', numTrainTimesteps: 1000, imagesPerStep: 1, m };
const counts = [10, 50, 250, 1000];

/**
 * The least milliseconds of a function.
 *
 * @param {() => unknown} work
 */
function least(work) {
  const times = Array.from({ length: Number(rounds) }, () => {
    const began = performance.now();
    work();
    return performance.now() - began;
  });
  return Math.min(...times);
}

/**
 * Measures a sampler with options at every number of steps.
 *
 * @param {string} sampler
 * @param {object} options
 */
function row(sampler, options) {
  const cells = counts.map((steps) => {
    const task = { schedule: recipe, gamma, sampler, options: { ...options, steps } };
    const { program, refused } = compileTask(task);
    if (refused !== undefined) return '-';
    const here = least(() => compileTask(task));
    const bytes = program === null ? null : serialize(program);
    const received = bytes === null ? '-' : least(() => deserialize(bytes)).toFixed(1);
    return `${here.toFixed(1)} / ${received}`;
  });
  console.log(`| ${[sampler, ...Object.values(options), ...cells].join(' | ')} |`);
}

console.log(`| sampler | ${counts.map((count) => `${count} steps: here / received`).join(' | ')} |`);
for (const name of samplerNames.filter((each) => names.length === 0 || names.includes(each))) {
  const { options } = samplers[name].facts;
  if (!('steps' in options)) continue;
  row(name, {});
  if ('costs' in options && (names.length > 0 || name === 'analytic-ddpm')) row(name, { trajectory: 'optimal' });
}
