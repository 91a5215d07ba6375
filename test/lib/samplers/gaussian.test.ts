import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import {
  analyticVariance,
  analyticVarianceBounds,
  lastNoiseDeviation,
} from '../../../lib/variance/reverse-variance.js';
import { generatedVariance, moments } from '../../support/gaussian.js';
import { asSteps } from '../../support/interpreter.js';

const schedule = NoiseSchedule.vpDiscrete();
const linear = NoiseSchedule.linear();

describe('the analytic variance on Gaussian data', () => {
  const times = fc
    .tuple(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 1, max: 999 }))
    .map(([a, b]) => ({ s: Math.min(a, b), t: Math.max(a, b) + 1 }));

  it('is the exact reverse variance of the Markov process', () => {
    fc.assert(
      fc.property(times, fc.double({ min: 1e-3, max: 1, noNaN: true }), ({ s, t }, c) => {
        const variance = (n: number): number => linear.alphaBar(n) * c + linear.betaBar(n);
        const exact = variance(s) - (linear.alphaBarBetween(s, t) * variance(s) ** 2) / variance(t);
        const estimate = analyticVariance(jump(linear, { s, t }, 1), linear.betaBar(t) / variance(t), Infinity);
        expect(Math.abs(estimate / exact - 1)).toBeLessThan(1e-6);
      }),
    );
  });

  it('is l^2 + gamma^2 times the posterior variance for every eta', () => {
    fc.assert(
      fc.property(times, fc.double({ min: 0, max: 1, noNaN: true }), (pair, eta) => {
        const c = 0.3;
        const step = jump(linear, pair, eta);
        const a = linear.alphaBar(pair.t);
        const b = linear.betaBar(pair.t);
        const posterior = (c * b) / (a * c + b);
        const direct =
          Math.sqrt(linear.alphaBar(pair.s)) - Math.sqrt((linear.betaBar(pair.s) - step.baseVariance) * (a / b));
        const exact = step.baseVariance + direct ** 2 * posterior;
        expect(Math.abs(analyticVariance(step, b / (a * c + b), Infinity) / exact - 1)).toBeLessThan(1e-6);
      }),
    );
  });

  it('lies between its bounds, which data of no and of unit variance reach', () => {
    const step = jump(linear, { s: 112, t: 223 }, 1);
    const { low, high } = analyticVarianceBounds(step);
    expect(analyticVariance(step, 1)).toBe(low);
    expect(low).toBeCloseTo(step.posteriorVariance, 12);
    expect(analyticVariance(step, 0)).toBeCloseTo(high, 12);
    expect(analyticVariance(step, linear.betaBar(223), Infinity)).toBeCloseTo(step.forwardVariance, 10);
  });
});

describe('published bounds of the last noisy jump', () => {
  it.each([
    [112, 1, 1.45e-1, 9.99e-5],
    [43, 1, 2.24e-2, 9.96e-5],
    [21, 1, 6.2e-3, 9.84e-5],
    [11, 1, 2.1e-3, 9.55e-5],
    [112, 0, 1.37e-1, 0],
    [43, 0, 1.96e-2, 0],
    [21, 0, 4.82e-3, 0],
    [11, 0, 1.36e-3, 0],
  ])('t = %i, eta = %i', (t, eta, high, low) => {
    const bounds = analyticVarianceBounds(jump(linear, { s: 1, t }, eta));
    expect(Math.abs(bounds.high / high - 1)).toBeLessThan(5e-3);
    expect(Math.abs(bounds.low - low)).toBeLessThan(1e-7);
  });

  it('limits of the last noise', () => {
    expect(lastNoiseDeviation(1) ** 2).toBeCloseTo(9.6627e-5, 9);
    expect(lastNoiseDeviation(2) ** 2).toBeCloseTo(3.8651e-4, 8);
  });
});

/** Generated over true variance of samplers on N(0, c) with the exact score. */
const ratios: [c: number, steps: number, sampler: SamplerName, options: SamplerOptions, ratio: number][] = [
  [0.01, 10, 'ddpm', { variance: 'beta' }, 12.61],
  [0.01, 25, 'ddpm', { variance: 'beta' }, 2.883],
  [0.01, 10, 'ddpm', { variance: 'beta-tilde' }, 0.07236],
  [0.01, 25, 'ddpm', { variance: 'beta-tilde' }, 0.2674],
  [0.25, 100, 'ddpm', { variance: 'beta-tilde' }, 0.8759],
  [0.01, 10, 'ddim', {}, 0.1205],
  [0.25, 10, 'ddim', {}, 0.5231],
  [1, 10, 'ddim', {}, 0.6639],
  [0.01, 10, 'analytic-ddpm', { lastNoiseClip: null }, 0.9891],
  [0.25, 10, 'analytic-ddpm', { lastNoiseClip: null }, 0.9996],
];

describe('samplers with the exact score', () => {
  it.each(ratios)('c = %f, K = %i, %s %j', (c, steps, sampler, options, ratio) => {
    const gamma = moments(schedule, c);
    const program = samplers[sampler](schedule, {
      steps,
      clip: 'none',
      ...options,
      ...(sampler.startsWith('analytic') && { gamma }),
    });
    expect(Math.abs(generatedVariance(schedule, asSteps(program), c) / c / ratio - 1)).toBeLessThan(1e-3);
  });

  it('DDIM with eta = 1 is DDPM with the posterior variance', () => {
    const stochastic = samplers.ddim(schedule, { steps: 12, eta: 1 });
    const ancestral = samplers.ddpm(schedule, { steps: 12, variance: 'beta-tilde' });
    for (const c of [0.01, 0.4]) {
      const difference = generatedVariance(schedule, stochastic, c) / generatedVariance(schedule, ancestral, c) - 1;
      expect(Math.abs(difference)).toBeLessThan(1e-12);
    }
  });

  it.each(['epsilon', 'x0', 'v', 'score'] as const)('do not depend on the parametrisation: %s', (prediction) => {
    const expected = generatedVariance(schedule, samplers.ddim(schedule, { steps: 9, eta: 0.5 }), 0.2);
    const program = samplers.ddim(schedule, { steps: 9, eta: 0.5, prediction });
    expect(generatedVariance(schedule, program, 0.2, prediction)).toBeCloseTo(expected, 12);
  });
});
