// Noise levels given one by one, ends at the data and diffusers' spacings, as options of the samplers.
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { dataLevel, levelOf as ofAmplitudes, noiseLevel, type GivenLevel } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';

const linear = NoiseSchedule.linear();
const starts = Float64Array.of(-1.4, 0.3, 0.9, 2.1);
const model = { out: (x: number, t: number): number => 0.8 * x + 0.3 * Math.sin(x + t / 300) };
const noise = (drawn: number): Float64Array => starts.map((_, i) => Math.sin(3 * drawn + i));

function result(sampler: SamplerName, options: SamplerOptions, schedule = linear): Float64Array {
  return interpret(asSteps(samplers[sampler](schedule, options)), model, starts, noise);
}

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

describe("end: 'data'", () => {
  it.each<[SamplerName, SamplerOptions]>([
    ['dpm-solver++-2m', {}],
    ['dpm-solver-2m', {}],
    ['unipc', {}],
    ['deis', {}],
    ['dpm-solver++-2m-sde', {}],
    ['dpm-solver-fast', {}],
  ])('%s %j: the last step gives the data prediction', (sampler, options) => {
    const { records } = asSteps(samplers[sampler](linear, { steps: 6, ...options, end: 'data', clip: 'none' }));
    const last = records.at(-1)!;
    expect(records).toHaveLength(6);
    expect(last.variance).toEqual({ kind: 'none' });
    // In terms of the network's output and of its input, whatever is kept of them.
    const seen = linear.alphaBar(last.time + 1);
    const [alpha, sigma] = [Math.sqrt(seen), Math.sqrt(1 - seen)];
    const weight = last.x!.history[last.store.slot]!;
    expect(weight * last.store.data * last.prediction.output).toBeCloseTo(-sigma / alpha, 6);
  });

  // With a noise prediction that is constant the data prediction is, too, and every solver is exact.
  it.each<[SamplerName, SamplerOptions]>([
    ['dpm-solver-1', {}],
    ['dpm-solver-2', {}],
    ['dpm-solver-3', {}],
    ['dpm-solver-fast', {}],
    ['dpm-solver++-fast', {}],
    ['dpm-solver++-2s', {}],
    ['dpm-solver++-3s', {}],
    ['dpm-solver-3m', {}],
    ['dpm-solver++-3m', {}],
    ['unipc', { order: 3 }],
    ['unipc', { order: 3, form: 'noise', variant: 'bh1' }],
    ['deis', { order: 4 }],
    ['deis', { basis: 'log-ratio' }],
  ])('%s %j is exact where the noise prediction is constant', (sampler, options) => {
    for (const spread of [{ steps: 8 }, { timesteps: [999, 800, 420, 96, 0] }]) {
      const program = asSteps(samplers[sampler](linear, { ...options, ...spread, end: 'data', clip: 'none' }));
      const first = linear.alphaBar(1000);
      const found = interpret(program, { out: () => 0.3 }, starts, noise);
      const exact = starts.map((x) => (x - Math.sqrt(1 - first) * 0.3) / Math.sqrt(first));
      expect(maxDifference(found, exact)).toBeLessThan(1e-8);
    }
  });

  it.each<[SamplerName, SamplerOptions]>([
    ['euler', {}],
    ['heun', {}],
    ['kdpm2', {}],
    ['lms', {}],
    ['plms', {}],
    ['pndm', {}],
  ])('%s goes there by itself, and is exact, too', (sampler, options) => {
    for (const steps of [1, 5, 17]) {
      const program = asSteps(samplers[sampler](linear, { ...options, steps, trajectory: 'linspace' }));
      const first = linear.alphaBar(steps === 1 ? 1 : 1000);
      const found = interpret(program, { out: () => 0.3 }, starts, noise);
      const exact = starts.map((x) => (x - Math.sqrt(1 - first) * 0.3) / Math.sqrt(first));
      expect(maxDifference(found, exact)).toBeLessThan(1e-8);
    }
  });

  it('counts as a step where orders are lowered', () => {
    const pastOf = (end: 'data' | 'first'): number[] =>
      asSteps(samplers['dpm-solver++-3m'](linear, { steps: 6, end, lowerOrderFinal: 'always' })).records.map(
        ({ x }) => x!.history.filter((weight) => weight !== 0).length,
      );
    expect(pastOf('data')).toEqual([1, 2, 3, 3, 2, 1]);
    const free = asSteps(samplers['dpm-solver++-3m'](linear, { steps: 6, end: 'data', lowerOrderFinal: false }));
    expect(free.records.map(({ x }) => x!.history.filter((weight) => weight !== 0).length)).toEqual([1, 2, 3, 3, 3, 1]);
    const last = asSteps(samplers['dpm-solver++-3m'](linear, { steps: 6, lowerOrderFinal: 'last' }));
    expect(last.records.map(({ x }) => x!.history.filter((weight) => weight !== 0).length)).toEqual([1, 2, 3, 3, 3, 1]);
  });

  it('excludes denoiseToZero', () => {
    expect(() => result('unipc', { steps: 4, end: 'data', denoiseToZero: true })).toThrow(
      /end: 'data' already says what denoiseToZero would/,
    );
  });

  it('is denoiseToZero for single steps on a grid of their own', () => {
    const denoised = result('dpm-solver-3', { steps: 7, denoiseToZero: true });
    expect(result('dpm-solver-3', { steps: 7, end: 'data' })).toEqual(denoised);
  });
});

describe("diffusers' spacings", () => {
  const timesOf = (sampler: SamplerName, options: SamplerOptions): number[] =>
    asSteps(samplers[sampler](linear, options)).records.map(({ time }) => time);

  it.each<[SamplerName, SamplerOptions, number[]]>([
    ['ddim', { trajectory: 'leading', steps: 4 }, [750, 500, 250, 0]],
    ['ddim', { trajectory: 'leading', steps: 3, stepsOffset: 1 }, [667, 334, 1]],
    ['ddpm', { trajectory: 'trailing', steps: 3 }, [999, 666, 332]],
    ['ddim', { trajectory: 'linspace', steps: 5 }, [999, 749, 500, 250, 0]],
    ['ddim', { trajectory: 'trailing', steps: 3, end: 'first' }, [999, 666, 332]],
    ['dpm-solver++-2m', { trajectory: 'leading', steps: 3, stepsOffset: 1 }, [751, 501, 251]],
    ['dpm-solver++-2m', { trajectory: 'trailing', steps: 4 }, [999, 749, 499, 249]],
    ['unipc', { trajectory: 'linspace', steps: 3 }, [999, 666, 333]],
    ['euler', { trajectory: 'leading', steps: 4 }, [750, 500, 250, 0]],
    ['lms', { trajectory: 'linspace', steps: 5 }, [999, 749.25, 499.5, 249.75, 0]],
    ['plms', { steps: 5 }, [750, 500, 500, 250, 0]],
    ['pndm', { steps: 13 }, [750, 625, 625, 500, 500, 375, 375, 250, 250, 125, 125, 0, 0]],
    ['pndm', { steps: 6 }, [666, 499.5, 499.5, 333, 333, 0]],
    ['lcm', { steps: 4 }, [999, 759, 499, 259]],
    ['lcm', { steps: 3, originalSteps: 10 }, [999, 699, 399]],
  ])('%s %j', (sampler, options, expected) => {
    timesOf(sampler, options).forEach((time, i) => {
      expect(time).toBeCloseTo(expected[i]!, 9);
    });
    expect(timesOf(sampler, options)).toHaveLength(expected.length);
  });

  it.each<[SamplerName, SamplerOptions, RegExp]>([
    ['ddim', { trajectory: 'leading', steps: 4, tStart: 500 }, /leave tStart and tEnd out/],
    ['unipc', { trajectory: 'leading', steps: 4, tStart: 0.5 }, /leave tStart and tEnd out/],
    ['unipc', { trajectory: 'leading', steps: 4, tEnd: 0.1 }, /leave tStart and tEnd out/],
    [
      'ddim',
      { trajectory: 'leading', steps: 4, stepsOffset: 300 },
      /take the time 1050, the network has the times 0 to 999/,
    ],
    ['ddim', { trajectory: 'leading', steps: 4, stepsOffset: -1 }, /stepsOffset is -1/],
    ['ddim', { trajectory: 'leading', steps: 4, end: 'first' }, /end: 'first' needs timesteps above 0/],
    ['euler-maruyama', { trajectory: 'leading', steps: 4 }, /is for samplers on a discrete noise schedule/],
    ['ddim', { trajectory: 'leading', steps: 1001 }, /steps is 1001/],
    ['ddim', { steps: 4, rho: 5 }, /rho is for trajectory 'karras', here it is 'uniform'/],
    ['unipc', { steps: 4, rho: 5 }, /rho is for trajectory 'karras', here it is 'uniform'/],
    ['heun', { steps: 4, trajectory: 'logsnr', rho: 5 }, /rho is for trajectory 'karras', here it is 'logsnr'/],
    ['ddim', { steps: 4, stepsOffset: 1 }, /stepsOffset is for trajectory 'leading', here it is 'uniform'/],
    ['unipc', { steps: 4, trajectory: 'trailing', stepsOffset: 1 }, /stepsOffset is for trajectory 'leading'/],
    [
      'unipc',
      { steps: 1000, trajectory: 'trailing' },
      /'trailing' of 1000 steps ends at the first time: give end 'data'/,
    ],
    ['lcm', { levels: toData, originalSteps: 20 }, /levels already says what originalSteps would/],
  ])('%s %j is refused', (sampler, options, message) => {
    expect(() => result(sampler, options)).toThrow(message);
  });

  it('need a discrete schedule', () => {
    expect(() => result('unipc', { trajectory: 'trailing', steps: 4 }, NoiseSchedule.vp())).toThrow(/discrete/);
    expect(() => result('lcm', { steps: 4 }, NoiseSchedule.vp())).toThrow(/lcm needs a discrete noise schedule/);
  });
});

describe('spacings in the noise', () => {
  const ratios = (options: SamplerOptions): number[] =>
    asSteps(samplers.euler(NoiseSchedule.edm(), options)).records.map(({ time }) => Math.exp(4 * time));

  it('Karras by the exponent asked for', () => {
    for (const rho of [7, 3]) {
      const [most, least] = [80 ** (1 / rho), 0.002 ** (1 / rho)];
      ratios({ steps: 6, ...(rho !== 7 && { rho }) }).forEach((ratio, i) => {
        expect(ratio / (most + (i / 5) * (least - most)) ** rho).toBeCloseTo(1, 9);
      });
    }
    const times = (options: SamplerOptions, schedule: NoiseSchedule): number[] =>
      asSteps(samplers.ddim(schedule, { steps: 6, trajectory: 'karras', ...options })).records.map(({ time }) => time);
    // The reverse process takes the same, in continuous time and by the nearest of the network's.
    times({ rho: 3 }, NoiseSchedule.edm()).forEach((time, i) => {
      expect(Math.exp(4 * time) / ratios({ steps: 6, rho: 3 })[i]!).toBeCloseTo(1, 9);
    });
    const [most, least] = [1000, 1].map((n) => Math.exp(-linear.logSnr(n) / 3));
    times({ rho: 3 }, linear).forEach((time, i) => {
      const ratio = (most! + (i / 5) * (least! - most!)) ** 3;
      expect(Math.abs(linear.timeOfLogSnr(-Math.log(ratio)) - 1 - time)).toBeLessThan(0.6);
    });
    expect(() => ratios({ steps: 4, rho: 0 })).toThrow(/rho is 0, it has to be a positive number/);
  });

  it('quantiles of the beta distribution', () => {
    // scipy.stats.beta.ppf(1 - i / 4, 0.6, 0.6)
    const quantiles = [1, 0.824319621347305, 0.5, 0.175680378652695, 0];
    ratios({ steps: 5, trajectory: 'beta' }).forEach((ratio, i) => {
      expect(ratio).toBeCloseTo(0.002 + quantiles[i]! * (80 - 0.002), 8);
    });
    const times = asSteps(samplers.ddim(linear, { steps: 4, trajectory: 'beta' })).records.map(({ time }) => time);
    expect(times).toEqual([999, 967, 862, 0]);
  });
});

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
});

describe('explicit times', () => {
  it('denoise where they end at 0', () => {
    const refused =
      (timesteps: number[]): (() => unknown) =>
      () =>
        result('unipc', { timesteps, denoiseToZero: true });
    expect(refused([900, 100])).toThrow(/append 0 instead of giving denoiseToZero/);
    expect(refused([900, 0])).toThrow(/that end at 0 denoise by themselves: leave denoiseToZero out/);
    expect(() => result('unipc', { timesteps: [0.5] }, NoiseSchedule.vp())).toThrow(/discrete/);
  });

  it('may be the first one alone', () => {
    for (const sampler of ['dpm-solver-2', 'dpm-solver++-3s', 'unipc'] as const) {
      const { records } = asSteps(samplers[sampler](linear, { timesteps: [0], lowerOrderFinal: true }));
      expect(records).toHaveLength(1);
      expect(records[0]!.x).toMatchObject({ x: 0, history: [1] });
    }
  });

  it('leave the choice of the last orders to lowerOrderFinal', () => {
    const timesteps = [999, 800, 600, 400, 200, 100];
    const ends = (lowerOrderFinal?: SamplerOptions['lowerOrderFinal']): number =>
      asSteps(
        samplers['dpm-solver++-3s'](linear, { timesteps, ...(lowerOrderFinal !== undefined && { lowerOrderFinal }) }),
      ).records.filter(({ x }) => x !== null).length;
    expect(ends()).toBe(2);
    expect([false, true, 'always' as const, 'last' as const].map(ends)).toEqual([2, 3, 3, 3]);
    // Of mixed orders those of the last steps are always lower.
    const fast = asSteps(samplers['dpm-solver-fast'](linear, { timesteps })).records;
    expect(fast.filter(({ x }) => x !== null)).toHaveLength(3);
    for (const lowerOrderFinal of [true, false]) {
      expect(() => result('dpm-solver++-3s', { steps: 6, lowerOrderFinal })).toThrow(/is for levels and timesteps/);
    }
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
