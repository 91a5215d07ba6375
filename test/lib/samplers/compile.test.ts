// Programs as tasks for another thread: what is sent, what comes back, and which are worth it.
import { describe, expect, it } from 'vitest';

import {
  analyticCosts,
  compileTask,
  discreteTransitions,
  NoiseSchedule,
  samplerNames,
  samplers,
  type CompileTask,
} from '../../../lib/index.js';
import { compileSampler, isQuick, taskOf } from '../../../lib/samplers/compile.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';

const schedule = NoiseSchedule.linear({ steps: 30 });
const m = Float64Array.from({ length: 31 }, (_, n) => 0.9 + 0.001 * n);
const gamma = { schedule: schedule.name, numTrainTimesteps: 30, imagesPerStep: 1, m };
const tables = { schedule, gamma };

function task(sampler: Parameters<typeof taskOf>[1], options: SamplerOptions): CompileTask {
  const made = taskOf(tables, sampler, options);
  if (made === null) throw new Error('no task');
  return structuredClone(made);
}

describe('the task of a program', () => {
  // These need more than `steps`.
  const all = samplerNames.filter((name) => name !== 'scheduler' && name !== 'lcm');

  it.each(all)('gives the program that is made here: %s', (sampler) => {
    const options = Object.hasOwn(samplers[sampler].facts.options, 'steps') ? { steps: 6 } : {};
    const here = compileSampler(tables, sampler, options);
    const { program, refused, milliseconds } = compileTask(task(sampler, options));
    expect(program).toEqual(here.kind === 'step' ? here : null);
    expect(refused).toBeUndefined();
    expect(milliseconds).toBeGreaterThanOrEqual(0);
  });

  it('names the times of an optimal trajectory for a program of functions', () => {
    const options = { steps: 5, trajectory: 'optimal', end: 'first', lanczosSteps: 2 } as const;
    const { program, options: quick, refused } = compileTask(task('full-ddpm', options));
    const costs = analyticCosts(schedule, gamma);
    const times = discreteTransitions(schedule, { ...options, costs }).map(({ t }) => t - 1);
    expect(times).toHaveLength(5);
    expect([program, refused, quick]).toEqual([null, undefined, { end: 'first', lanczosSteps: 2, timesteps: times }]);
    expect(isQuick('full-ddpm', quick ?? options)).toBe(true);
    const own = { schedule: schedule.recipe ?? [], gamma: null, sampler: 'full-ddpm', options } as const;
    expect(compileTask(own).refused?.message).toMatch(/needs the option costs/);
  });

  it('has the tables of the model', () => {
    const { program } = compileTask(task('analytic-ddpm', { steps: 5, trajectory: 'optimal' }));
    const own = samplers['analytic-ddpm'](schedule, { steps: 5, gamma }).records.map(({ time }) => time);
    const times = program!.records.map(({ time }) => time);
    expect(times).toHaveLength(5);
    expect(times).not.toEqual(own);
    const without = { ...task('analytic-ddpm', { steps: 5 }), gamma: null };
    expect(compileTask(without).refused?.message).toMatch(/needs the option gamma/);
  });

  it('is of the options as they were', () => {
    const timesteps = [20, 10, 0];
    const sent = taskOf(tables, 'ddim', { timesteps });
    timesteps.pop();
    expect(sent?.options).toEqual({ timesteps: [20, 10, 0] });
  });

  it('is none where a function cannot be sent', () => {
    const costs = { first: 1, cost: () => 1 } as const;
    expect(taskOf(tables, 'ddim', { steps: 5, costs })).toBeNull();
    const own = { schedule: NoiseSchedule.linear({ networkTime: (time) => time }), gamma: null };
    expect(taskOf(own, 'ddim', { steps: 5 })).toBeNull();
  });

  it('brings back the code and the message of wrong options', () => {
    const options = { steps: 31 };
    const here = (() => {
      try {
        return compileSampler(tables, 'ddim', options);
      } catch (error) {
        return error;
      }
    })();
    const { program, refused } = compileTask(task('ddim', options));
    expect(program).toBeNull();
    expect(here).toMatchObject({ ...refused });
    expect(refused).toMatchObject({ code: 'ERR_DPM_ARGUMENT', message: expect.stringContaining('31') as string });
  });
});

describe('a program that is made at once', () => {
  it.each<[boolean, Parameters<typeof isQuick>[0], SamplerOptions]>([
    [true, 'ddim', { steps: 50 }],
    [false, 'ddim', { steps: 51 }],
    [true, 'ddim', {}],
    [true, 'ddim', { timesteps: new Array<number>(50).fill(0) }],
    [false, 'ddim', { timesteps: new Array<number>(51).fill(0) }],
    [false, 'deis', { levels: new Array(51).fill({ alpha: 1, sigma: 1, time: 1 }) }],
    [false, 'ddim', { steps: 2, trajectory: 'optimal' }],
    [false, 'full-ddpm', { steps: 2, trajectory: 'optimal' }],
    // A program of functions cannot come from another thread.
    [true, 'dpm-solver-adaptive', { steps: 1000 }],
    [false, 'ddim', { steps: 'many' } as never],
  ])('is quick (%s): %s of %j', (quick, sampler, options) => {
    expect(isQuick(sampler, options)).toBe(quick);
  });
});
