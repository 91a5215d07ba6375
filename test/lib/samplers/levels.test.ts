// Noise levels given one by one, as options of the samplers.
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { dataLevel, levelOf as ofAmplitudes, noiseLevel, type GivenLevel } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { linear, noise, result, starts } from '../../support/sampled.js';

const continuous = linear.continuous();
/** The level of a 0-based time as solvers have it, or as the discrete process has. */
const levelOf = (time: number, schedule = continuous): GivenLevel => {
  const level = noiseLevel(schedule, schedule.discrete ? time + 1 : (time + 1) / 1000);
  return { alpha: level.alpha, sigma: level.sigma, time: level.networkTime };
};
const data: GivenLevel = { alpha: 1, sigma: 0 };
const times = [999, 640, 301, 77, 9];
const toFirst = [...times.map((time) => levelOf(time)), levelOf(0)];
const toData = [...times.map((time) => levelOf(time)), data];

describe('levels given one by one', () => {
  it.each<[SamplerName, SamplerOptions]>([
    ['dpm-solver-1', {}],
    ['dpm-solver-2', {}],
    ['dpm-solver-3', {}],
    ['dpm-solver-fast', {}],
    ['dpm-solver-2m', {}],
    ['dpm-solver-3m', {}],
    ['dpm-solver++-3s', { solverType: 'taylor' }],
    ['dpm-solver++-3s-sde', {}],
    ['dpm-solver++-3m-sde', {}],
    ['unipc', { order: 3 }],
    ['deis', { basis: 'log-ratio' }],
  ])('%s %j: as its timesteps', (sampler, options) => {
    const own = result(sampler, { ...options, timesteps: times });
    expect(maxDifference(result(sampler, { ...options, levels: toFirst }), own)).toBeLessThan(1e-11);
    const further = result(sampler, { ...options, timesteps: times, end: 'data' });
    expect(maxDifference(result(sampler, { ...options, levels: toData }), further)).toBeLessThan(1e-11);
    expect(maxDifference(own, further)).toBeGreaterThan(1e-4);
  });

  it.each<[SamplerName, SamplerOptions]>([
    ['ddim', { eta: 0.4 }],
    ['ddpm', { variance: 'beta' }],
    ['ddpm', { variance: 'beta-tilde' }],
  ])('%s %j: as its timesteps', (sampler, options) => {
    const levels = [...times.map((time) => levelOf(time, linear)), data];
    const own = result(sampler, { ...options, timesteps: times });
    expect(maxDifference(result(sampler, { ...options, levels }), own)).toBeLessThan(1e-11);
  });

  it.each<[SamplerName, SamplerOptions, GivenLevel[]]>([
    ['euler', { steps: 5 }, toLinspace(5)],
    ['heun', { steps: 9 }, toLinspace(5)],
    ['lms', { steps: 5 }, toLinspace(5)],
  ])('%s: as its linspace trajectory', (sampler, options, levels) => {
    const own = result(sampler, { ...options, trajectory: 'linspace' });
    expect(maxDifference(result(sampler, { levels }), own)).toBeLessThan(1e-11);
  });

  it('dpm-solver++-3s-sde: by order 3 unless another is asked for', () => {
    const of = (options: SamplerOptions): Float64Array => result('dpm-solver++-3s-sde', { levels: toData, ...options });
    expect(of({})).toEqual(of({ order: 3 }));
    expect(of({})).not.toEqual(of({ order: 2 }));
    // Second differences have weights of their own in Taylor's form alone.
    const taylor = of({ solverType: 'taylor' });
    expect(of({ solverType: 'taylor', thirdOrder: 'exact' })).toEqual(taylor);
    expect(of({ solverType: 'taylor', thirdOrder: 'published' })).not.toEqual(taylor);
  });

  it('lms: as its timesteps, which go to the data', () => {
    const own = result('lms', { timesteps: times });
    expect(maxDifference(result('lms', { levels: toData }), own)).toBeLessThan(1e-11);
  });

  it('kdpm2: with a midpoint after every level but the last that is evaluated', () => {
    for (const given of [toFirst, toData]) {
      const odd = given.slice(0, -2).concat(data);
      expect(() => result('kdpm2', { levels: odd })).toThrow(/kdpm2 takes a midpoint after every level.*got 5/);
    }
    // A midpoint may have less noise than the level behind the next; levels themselves may not.
    const [first, middle, next] = [levelOf(900), levelOf(300), levelOf(600)];
    expect(result('kdpm2', { levels: [first, middle, next, data] })).toHaveLength(4);
    expect(() => result('kdpm2', { levels: [first, middle, levelOf(950), data] })).toThrow(/entry 0 has less noise/);
    expect(() => result('euler', { levels: [first, middle, next, data] })).toThrow(/entry 1 has less noise/);
  });

  it('go where `to` says, not to the next level', () => {
    const [first, second] = [levelOf(900, linear), levelOf(300, linear)];
    const goal = levelOf(600, linear);
    const program = asSteps(samplers.ddim(linear, { levels: [{ ...first, to: goal }, second, data], clip: 'none' }));
    const direct = asSteps(samplers.ddim(linear, { levels: [first, goal, data], clip: 'none' }));
    expect(program.records[0]!.x).toEqual(direct.records[0]!.x);
    expect(program.records[1]!.time).toBe(300);
  });

  it.each<[SamplerName, SamplerOptions]>([
    ['ddpm', {}],
    ['ddim', { eta: 0.4 }],
    ['lcm', {}],
    ['euler', {}],
    ['heun', {}],
    ['lms', {}],
    ['plms', {}],
    ['unipc', {}],
    ['deis', {}],
    ['dpm-solver-2m', {}],
    ['dpm-solver++-2m', {}],
    ['dpm-solver++-2m-sde', {}],
    ['dpm-solver++-3s-sde', {}],
  ])('%s %j: the data of half its size', (sampler, options) => {
    const half = [...toData.slice(0, -1), { alpha: 0.5, sigma: 0 }];
    const whole = result(sampler, { ...options, levels: toData });
    expect(
      maxDifference(
        result(sampler, { ...options, levels: half }).map((value) => 2 * value),
        whole,
      ),
    ).toBeLessThan(1e-9);
  });

  it('say the size of the initial noise', () => {
    const scaleOf = (options: SamplerOptions, schedule = linear): number =>
      samplers.euler(schedule, options).initialScale;
    expect(scaleOf({ levels: toData })).toBe(1);
    expect(scaleOf({ levels: toData, initialScale: 0.75 })).toBe(0.75);
    expect(scaleOf({ steps: 3, initialScale: 0.75 })).toBe(0.75);
    const edm = NoiseSchedule.edm();
    expect(scaleOf({ levels: [{ alpha: 1, sigma: 40, time: 0.9 }, data] }, edm)).toBe(40);
    expect(samplers.ddim(edm, { levels: [{ alpha: 1, sigma: 40, time: 0.9 }, data] }).initialScale).toBe(40);
    expect(samplers.ddim(linear, { steps: 3, initialScale: 2 }).initialScale).toBe(2);
  });

  it('may rise where they say so', () => {
    const levels = (rises: boolean): GivenLevel[] => [levelOf(9), { ...levelOf(4), rises }, levelOf(6)];
    for (const sampler of ['euler', 'dpm-solver++-2m', 'lms'] as const) {
      expect(result(sampler, { levels: levels(true) }).every(Number.isFinite)).toBe(true);
      expect(() => result(sampler, { levels: levels(false) })).toThrow(/entry 1 has less noise than the next/);
    }
  });

  it.each<[GivenLevel[], RegExp]>([
    [[], /levels needs at least two/],
    [[data], /levels needs at least two/],
    [[levelOf(9), data, data], /entry 1 has no noise: only the last may be the data/],
    [[{ alpha: 0.5, sigma: 0.8 }, data], /entry 0 has the time undefined, every evaluation needs a number/],
    [[{ alpha: 0.5, sigma: 0.8, time: NaN }, data], /entry 0 has the time NaN/],
    [[levelOf(9), levelOf(10), data], /entry 0 has less noise than the next/],
    [[{ ...levelOf(9), to: levelOf(10) }, data], /entry 0 has less noise than the next/],
    [[levelOf(9), { alpha: -1, sigma: 0 }], /entry 1 has alpha -1 and sigma 0/],
    [[levelOf(9), { alpha: 0, sigma: 0 }], /entry 1 has alpha 0 and sigma 0/],
    [[{ alpha: 1, sigma: Infinity, time: 3 }, data], /entry 0 has alpha 1 and sigma Infinity/],
    [[{ ...levelOf(9), to: { alpha: NaN, sigma: 0 } }, data], /entry 0 has alpha NaN/],
  ])('are checked: %j', (levels, message) => {
    expect(() => result('dpm-solver++-2m', { levels })).toThrow(message);
    expect(() => result('ddim', { levels })).toThrow(message);
  });

  it.each<SamplerOptions>([
    { steps: 3 },
    { timesteps: [3] },
    { trajectory: 'karras' },
    { rho: 5 },
    { stepsOffset: 1 },
    { tStart: 0.9 },
    { tEnd: 0.1 },
    { end: 'data' },
    { denoiseToZero: true },
  ])('replace %j', (options) => {
    const [name] = Object.keys(options);
    expect(() => result('dpm-solver++-2m', { levels: toData, ...options })).toThrow(
      new RegExp(`levels already says what ${name} would`),
    );
  });

  it('leave room for a denoiseToZero that asks for nothing', () => {
    expect(result('unipc', { levels: toData, denoiseToZero: false })).toEqual(result('unipc', { levels: toData }));
  });
});

function toLinspace(count: number): GivenLevel[] {
  return [...Array.from({ length: count }, (_, k) => levelOf(999 - (k * 999) / (count - 1))), data];
}

describe('the midpoint method', () => {
  it('on the data with noise has its midpoints there', () => {
    const schedule = NoiseSchedule.ve({ sigmaMin: 0.02, sigmaMax: 20 });
    const score = (x: number, sigma: number): number => (0.4 - x) / (sigma * sigma + 0.2);
    const slope = (x: number, sigma: number): number => -sigma * score(x, sigma);
    const program = asSteps(samplers.kdpm2(schedule, { steps: 3 }));
    const middle = Math.sqrt(20 * 0.02);
    const expected = starts.map((x) => {
      const inner = x + (middle - 20) * slope(x, 20);
      const last = x + (0.02 - 20) * slope(inner, middle);
      return last - 0.02 * slope(last, 0.02);
    });
    expect(maxDifference(interpret(program, { out: score }, starts, noise), expected)).toBeLessThan(1e-9);
  });
});

describe('midpoints of our own', () => {
  it.each([0, 0.5, 1])('are half-way to where the flow goes, with eta %d', (eta) => {
    const schedule = NoiseSchedule.ve({ sigmaMin: 0.02, sigmaMax: 20 });
    const times = asSteps(samplers.kdpm2(schedule, { steps: 5, eta })).records.map(({ time }) => time);
    for (const first of [0, 2]) {
      const [from, middle, to] = times.slice(first, first + 3) as [number, number, number];
      const added = eta * to * Math.sqrt(1 - (to / from) ** 2);
      expect(middle).toBeCloseTo(Math.sqrt(from * Math.sqrt(to * to - added * added)), 9);
    }
  });
});

describe('lcm', () => {
  it('takes a prediction, a clip and the size of the initial noise', () => {
    const own = (options: SamplerOptions, schedule = linear): Float64Array =>
      result('lcm', { steps: 4, ...options }, schedule);
    const predictsV = linear.with({ defaults: { prediction: 'v' } });
    expect(own({ prediction: 'v' })).toEqual(own({}, predictsV));
    expect(own({ prediction: 'v' })).not.toEqual(own({}));
    expect(own({ clip: 'static' })).not.toEqual(own({}));
    expect(samplers.lcm(linear, { steps: 4, initialScale: 2 }).initialScale).toBe(2);
  });

  it('takes levels in place of the steps that the model was distilled from', () => {
    expect(() => result('lcm', { levels: toData, originalSteps: 20 })).toThrow(
      /levels already says what originalSteps would/,
    );
  });
});

describe('the data as a level', () => {
  it('has no noise and an infinite log-SNR', () => {
    expect(dataLevel).toMatchObject({ alpha: 1, sigma: 0, logSnr: Infinity });
    expect(ofAmplitudes(continuous, data)).toMatchObject({ time: 0, logSnr: Infinity });
  });

  it('has its opposite at the noisiest time', () => {
    expect(ofAmplitudes(continuous, { alpha: 0, sigma: 1 })).toMatchObject({ time: 1, logSnr: -Infinity });
  });
});
