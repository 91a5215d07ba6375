// Noise that is added in every step (Karras et al. 2022, algorithm 2) against the algorithm as it is written there.
import { describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { resultVariance } from '../../support/linear-program.js';

const schedule = NoiseSchedule.ve({ sigmaMin: 0.02, sigmaMax: 20 });
const starts = Float64Array.of(-21, 3, 9.5, 30);
const noise = (drawn: number): Float64Array => starts.map((_, i) => Math.sin(3 * drawn + i + 1));
/** The score of data from N(0.4, 0.2), which sees the deviation of the noise. */
const score = (x: number, sigma: number): number => (0.4 - x) / (sigma * sigma + 0.2);

interface Churn {
  sChurn: number;
  sTmin?: number;
  sTmax?: number;
  sNoise?: number;
}

/** Algorithm 2 for the levels `t`, the last of which is 0; without its second half Euler's method. */
function stochasticSampler(t: number[], { sChurn, sTmin = 0, sTmax = Infinity, sNoise = 1 }: Churn, isHeun: boolean) {
  const steps = t.length - 1;
  let drawn = 0;
  let x = starts;
  for (let i = 0; i < steps; ++i) {
    const isIn = t[i]! >= sTmin && t[i]! <= sTmax;
    const gamma = isIn ? Math.min(sChurn / steps, Math.sqrt(2) - 1) : 0;
    const raised = t[i]! * (1 + gamma);
    if (gamma > 0) {
      const z = noise(drawn++);
      x = x.map((value, j) => value + Math.sqrt(raised ** 2 - t[i]! ** 2) * sNoise * z[j]!);
    }
    const slope = x.map((value) => -raised * score(value, raised));
    const next = x.map((value, j) => value + (t[i + 1]! - raised) * slope[j]!);
    if (isHeun && t[i + 1]! !== 0) {
      const second = next.map((value) => -t[i + 1]! * score(value, t[i + 1]!));
      x = x.map((value, j) => value + (t[i + 1]! - raised) * (slope[j]! + second[j]!) * 0.5);
    } else x = next;
  }
  return x;
}

const rho = 7;
const karras = (count: number): number[] => [
  ...Array.from({ length: count }, (_, i) => {
    const [most, least] = [20 ** (1 / rho), 0.02 ** (1 / rho)];
    return (most + (i / (count - 1)) * (least - most)) ** rho;
  }),
  0,
];

const cases: Churn[] = [
  { sChurn: 0 },
  { sChurn: 3 },
  { sChurn: 100 },
  { sChurn: 3, sTmin: 0.5 },
  { sChurn: 3, sTmax: 5 },
  { sChurn: 3, sTmin: 0.1, sTmax: 19, sNoise: 1.007 },
];

describe('noise in every step', () => {
  it.each(cases)('of Heun: %j', (churn) => {
    const program = asSteps(samplers.heun(schedule, { steps: 15, ...churn }));
    const found = interpret(program, { out: score }, starts, noise);
    expect(maxDifference(found, stochasticSampler(karras(8), churn, true))).toBeLessThan(1e-9);
  });

  it.each(cases)('of Euler: %j', (churn) => {
    const program = asSteps(samplers.euler(schedule, { steps: 8, ...churn }));
    const found = interpret(program, { out: score }, starts, noise);
    expect(maxDifference(found, stochasticSampler(karras(8), churn, false))).toBeLessThan(1e-9);
  });

  it('runs natively, from the first step on', async () => {
    const program = samplers.heun(schedule, { steps: 9, sChurn: 4 });
    expect(asSteps(program).records[0]).toMatchObject({ evaluate: false, variance: { kind: 'scalar' } });
    const result = await runProgram(program, {
      shape: [1, 4],
      init: Float32Array.from(starts),
      noise: Array.from({ length: 5 }, (_, drawn) => Float32Array.from(noise(drawn))),
      model: (x, sigma) => x.map((value) => score(value, sigma)),
    });
    expect(maxDifference(result, stochasticSampler(karras(5), { sChurn: 4 }, true))).toBeLessThan(1e-4);
  });

  it('is added at the limits themselves', () => {
    const levels = [
      { alpha: 1, sigma: 5, time: 5 },
      { alpha: 1, sigma: 0 },
    ];
    const opens = (options: SamplerOptions): boolean =>
      asSteps(samplers.euler(schedule, { levels, sChurn: 1, ...options })).records.length === 2;
    expect([opens({ sTmin: 5, sTmax: 5 }), opens({ sTmin: 5.1 }), opens({ sTmax: 4.9 })]).toEqual([true, false, false]);
  });

  it('leaves the variance of variance-preserving states right', () => {
    const linear = NoiseSchedule.linear();
    const c = 0.25;
    const continuous = linear.continuous();
    const slope = (networkTime: number): number => {
      const time = (networkTime + 1) / 1000;
      const [a, b] = [continuous.alphaBar(time), continuous.betaBar(time)];
      return Math.sqrt(b) / (a * c + b);
    };
    const errorOf = (sampler: 'heun' | 'euler', steps: number, options: SamplerOptions): number =>
      Math.abs(resultVariance(asSteps(samplers[sampler](linear, { steps, sChurn: 60, ...options })), slope) / c - 1);
    expect(errorOf('heun', 600, {})).toBeLessThan(5e-3);
    expect(errorOf('euler', 2400, {})).toBeLessThan(2e-2);
    // The variance is too small with less noise than is removed again.
    expect(errorOf('heun', 600, { sNoise: 0.8 })).toBeGreaterThan(0.3);
  });

  it.each<[SamplerOptions, RegExp]>([
    [{ sChurn: -1 }, /sChurn is -1, it has to be a number from 0/],
    [{ sTmin: NaN }, /sTmin is NaN/],
    [{ sTmax: -2 }, /sTmax is -2/],
    [{ sNoise: 0 }, /sNoise is 0, it has to be a positive number/],
  ])('%j is refused', (options, message) => {
    expect(() => samplers.heun(schedule, { steps: 5, ...options })).toThrow(message);
    expect(() => samplers.euler(schedule, { steps: 5, ...options })).toThrow(message);
  });
});
