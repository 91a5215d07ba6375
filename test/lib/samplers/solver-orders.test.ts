// Orders of convergence on a mixture of two Gaussians with the exact score, in float64. A solver with a wrong
// coefficient shows up here as one of order 1 or 2.
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { resultVariance } from '../../support/linear-program.js';
import { orderProblem } from '../../support/mixture.js';

const schedule = NoiseSchedule.vp();
const starts = Float64Array.from({ length: 9 }, (_, i) => -2.2 + 0.55 * i);
const end = 1e-3;

const powers = (time: number) => ({ alphaBar: schedule.alphaBar(time), betaBar: schedule.betaBar(time) });

function epsilon(x: number, time: number): number {
  return orderProblem.epsilon([x], powers(time))[0]!;
}

const model = { out: (x: number, networkTime: number): number => epsilon(x, networkTime / 999) };

/** dx / dlogSnr = sigma^2 x - sigma eps by the classical Runge-Kutta method with very small steps. */
function exactFlow(x: number): number {
  const [from, to] = [schedule.logSnr(1), schedule.logSnr(end)];
  const steps = 6000;
  const h = (to - from) / steps;
  const slope = (logSnr: number, state: number): number => {
    const time = schedule.timeOfLogSnr(logSnr);
    const variance = schedule.betaBar(time);
    return variance * state - Math.sqrt(variance) * epsilon(state, time);
  };
  let state = x;
  for (let i = 0; i < steps; ++i) {
    const logSnr = from + i * h;
    const k1 = slope(logSnr, state);
    const k2 = slope(logSnr + h / 2, state + (h / 2) * k1);
    const k3 = slope(logSnr + h / 2, state + (h / 2) * k2);
    const k4 = slope(logSnr + h, state + h * k3);
    state += (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
  }
  return state;
}

const reference = starts.map(exactFlow);

function error(result: Float64Array): number {
  return Math.sqrt(result.reduce((sum, value, i) => sum + (value - reference[i]!) ** 2, 0) / result.length);
}

interface Row {
  name: string;
  sampler: SamplerName;
  options?: SamplerOptions;
  /** Evaluations of a step. */
  evaluations?: number;
  order: number;
  /** Errors of independent implementations with 20 and 320 steps. */
  errors?: [number, number];
}

const rows: Row[] = [
  { name: 'DPM-Solver-1', sampler: 'dpm-solver-1', order: 1, errors: [7.0e-2, 4.8e-3] },
  { name: 'DPM-Solver-2', sampler: 'dpm-solver-2', evaluations: 2, order: 2, errors: [8.9e-3, 3.2e-5] },
  {
    name: 'DPM-Solver-2, Taylor',
    sampler: 'dpm-solver-2',
    options: { solverType: 'taylor' },
    evaluations: 2,
    order: 2,
    errors: [3.4e-3, 1.3e-5],
  },
  { name: 'DPM-Solver-3', sampler: 'dpm-solver-3', evaluations: 3, order: 3, errors: [1.9e-4, 5.0e-8] },
  {
    name: 'DPM-Solver-3, Taylor',
    sampler: 'dpm-solver-3',
    options: { solverType: 'taylor' },
    evaluations: 3,
    order: 3,
  },
  { name: 'DPM-Solver++(2S)', sampler: 'dpm-solver++-2s', evaluations: 2, order: 2, errors: [9.4e-3, 4.3e-5] },
  { name: 'DPM-Solver++(3S)', sampler: 'dpm-solver++-3s', evaluations: 3, order: 3 },
  { name: 'DPM-Solver (2M)', sampler: 'dpm-solver-2m', order: 2, errors: [1.3e-2, 5.9e-5] },
  { name: 'DPM-Solver (3M)', sampler: 'dpm-solver-3m', order: 3 },
  { name: 'DPM-Solver++(2M)', sampler: 'dpm-solver++-2m', order: 2, errors: [1.05e-2, 3.5e-5] },
  { name: 'DPM-Solver++(2M), Taylor', sampler: 'dpm-solver++-2m', options: { solverType: 'taylor' }, order: 2 },
  {
    name: 'DPM-Solver++(3M) as published',
    sampler: 'dpm-solver++-3m',
    options: { thirdOrder: 'published' },
    order: 2,
    errors: [2.9e-3, 1.0e-5],
  },
  { name: 'DPM-Solver++(3M)', sampler: 'dpm-solver++-3m', order: 3, errors: [2.8e-3, 1.0e-6] },
  { name: 'UniPC-1', sampler: 'unipc', options: { order: 1 }, order: 2, errors: [2.8e-2, 1.3e-4] },
  { name: 'UniPC-2', sampler: 'unipc', options: { order: 2 }, order: 3, errors: [3.9e-3, 1.2e-6] },
  { name: 'UniPC-2, bh1', sampler: 'unipc', options: { order: 2, variant: 'bh1' }, order: 3 },
  { name: 'UniPC-2, noise form', sampler: 'unipc', options: { order: 2, form: 'noise' }, order: 3 },
  { name: 'UniPC-3', sampler: 'unipc', options: { order: 3 }, order: 4, errors: [2.6e-3, 4.3e-8] },
  { name: 'DEIS-2', sampler: 'deis', options: { order: 2 }, order: 2 },
  { name: 'DEIS-3', sampler: 'deis', options: { order: 3 }, order: 3 },
  { name: 'DEIS-3 in ln(sigma / alpha)', sampler: 'deis', options: { order: 3, basis: 'log-ratio' }, order: 3 },
];

function run({ sampler, options, evaluations = 1 }: Row, steps: number): Float64Array {
  const program = samplers[sampler](schedule, {
    steps: steps * evaluations,
    trajectory: 'logsnr',
    ...(sampler === 'unipc' && { lowerOrderFinal: false }),
    ...options,
  });
  return interpret(asSteps(program), model, starts, () => []);
}

describe('order of convergence', () => {
  it.each(rows)('$name: $order', (row) => {
    const [coarse, middle, fine] = [20, 160, 320].map((steps) => error(run(row, steps)));
    expect(Math.abs(Math.log2(middle! / fine!) - row.order)).toBeLessThan(0.15);
    if (row.errors === undefined) return;
    expect(coarse! / row.errors[0]).toBeCloseTo(1, 1);
    expect(fine! / row.errors[1]).toBeCloseTo(1, 1);
  });

  it.each<[SamplerName, SamplerOptions, number, number]>([
    ['heun', {}, 2, 2],
    ['kdpm2', {}, 2, 2],
    ['euler', { trajectory: 'logsnr' }, 1, 1],
    ['lms', { trajectory: 'logsnr', order: 2 }, 1, 2],
    ['lms', { trajectory: 'logsnr', order: 3 }, 1, 3],
    ['lms', { trajectory: 'logsnr' }, 1, 4],
  ])('%s %j at the level before the data', (sampler, options, evaluations, order) => {
    const errors = [160, 320].map((steps) => {
      const program = asSteps(samplers[sampler](schedule, { steps: evaluations * steps + 1, ...options }));
      expect(program.records).toHaveLength(evaluations * steps + 1);
      return error(interpret({ ...program, records: program.records.slice(0, -1) }, model, starts, () => []));
    });
    expect(Math.abs(Math.log2(errors[0]! / errors[1]!) - order)).toBeLessThan(0.2);
  });

  // Combinations of evenly spaced times, and a first step that is of second order (Liu et al. 2022, section 3.4).
  it.each([
    ['plms', 1],
    ['pndm', 9],
  ] as const)('%s evenly in time, at the level before the data', (sampler, spent) => {
    const errors = [640, 1280].map((steps) => {
      const program = asSteps(samplers[sampler](schedule, { steps: steps + 1 + spent }));
      expect(program.records).toHaveLength(steps + 1 + spent);
      return error(interpret({ ...program, records: program.records.slice(0, -1) }, model, starts, () => []));
    });
    expect(Math.log2(errors[0]! / errors[1]!)).toBeGreaterThan(1.85);
  });

  it.each(['uniform', 'quadratic'] as const)('DPM-Solver++(2M) evenly in time, %s: 2', (trajectory) => {
    const errors = [320, 640].map((steps) =>
      error(run({ name: '', sampler: 'dpm-solver++-2m', options: { trajectory }, order: 2 }, steps)),
    );
    expect(Math.abs(Math.log2(errors[0]! / errors[1]!) - 2)).toBeLessThan(0.15);
  });

  it('Euler on the probability flow: 1', () => {
    const errors = [640, 1280].map((steps) => {
      // The last record goes on to the data.
      const program = asSteps(samplers['probability-flow'](schedule, { steps, trajectory: 'quadratic' }));
      return error(interpret({ ...program, records: program.records.slice(0, -1) }, model, starts, () => []));
    });
    expect(Math.abs(Math.log2(errors[0]! / errors[1]!) - 1)).toBeLessThan(0.15);
  });
});

describe('weak order of the stochastic solvers on Gaussian data', () => {
  const c = 0.25;
  const slope = (networkTime: number): number => {
    const { alphaBar, betaBar } = powers(networkTime / 999);
    return Math.sqrt(betaBar) / (alphaBar * c + betaBar);
  };
  const variance = (time: number): number => schedule.alphaBar(time) * c + schedule.betaBar(time);
  const relativeError = (options: SamplerOptions, sampler: SamplerName = 'dpm-solver++-2m-sde'): number => {
    const program = samplers[sampler](schedule, { trajectory: 'logsnr', ...options });
    return Math.abs(resultVariance(asSteps(program), slope, variance(1)) / variance(end) - 1);
  };

  it.each([
    ['midpoint', 6.21e-2, 7.45e-5],
    ['taylor', 1.77e-1, 1.5e-4],
  ] as const)('SDE-DPM-Solver++(2M), %s: 2', (solverType, coarse, fine) => {
    const errors = [20, 320, 640].map((steps) => relativeError({ solverType, steps }));
    expect(Math.log2(errors[1]! / errors[2]!)).toBeCloseTo(2, 1);
    expect(errors[0]! / coarse).toBeCloseTo(1, 1);
    expect(errors[2]! / fine).toBeCloseTo(1, 1);
  });

  it.each<[string, SamplerName, SamplerOptions, number]>([
    ['SDE-DPM-Solver(2M)', 'dpm-solver-2m-sde', {}, 2],
    ['SDE-DPM-Solver(2M), Taylor', 'dpm-solver-2m-sde', { solverType: 'taylor' }, 2],
    ['SDE-DPM-Solver++(2M) of order 1', 'dpm-solver++-2m-sde', { order: 1 }, 1],
    // Differences of past predictions hold past noise, so that a third one gains nothing.
    ['SDE-DPM-Solver++(3M)', 'dpm-solver++-3m-sde', {}, 2],
    ['SDE-DPM-Solver++(3M) as published', 'dpm-solver++-3m-sde', { thirdOrder: 'published' }, 1],
    // Stages have noise of their own.
    ['SDE-DPM-Solver++ in single steps', 'dpm-solver++-3s-sde', {}, 1],
    ['SDE-DPM-Solver++ in single steps of order 2', 'dpm-solver++-3s-sde', { order: 2 }, 1],
  ])('%s', (_, sampler, options, order) => {
    const errors = [300, 600].map((steps) => relativeError({ ...options, steps }, sampler));
    expect(Math.abs(Math.log2(errors[0]! / errors[1]!) - order)).toBeLessThan(0.15);
  });
});
