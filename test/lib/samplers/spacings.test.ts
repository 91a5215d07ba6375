// Ends of steps and spacings of times and levels, as options of the samplers.
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { linear, noise, result, starts } from '../../support/sampled.js';

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
    // Terms of the network's output and of its input, whatever is kept of them.
    const seen = linear.alphaBar(last.time + 1);
    const [alpha, sigma] = [Math.sqrt(seen), Math.sqrt(1 - seen)];
    const weight = last.x!.history[last.store.slot]!;
    expect(weight * last.store.data * last.prediction.output).toBeCloseTo(-sigma / alpha, 6);
  });

  // The data prediction is constant if the noise prediction is, and every solver is exact.
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
    // Orders of the last steps are always lower if orders are mixed.
    const fast = asSteps(samplers['dpm-solver-fast'](linear, { timesteps })).records;
    expect(fast.filter(({ x }) => x !== null)).toHaveLength(3);
    for (const lowerOrderFinal of [true, false]) {
      expect(() => result('dpm-solver++-3s', { steps: 6, lowerOrderFinal })).toThrow(/is for levels and timesteps/);
    }
  });
});
