// The levels that a scheduler's file comes to, and its steps that the library cannot take.
import { describe, expect, it } from 'vitest';

import { samplers } from '../../../../lib/samplers/index.js';
import { schedulerRun } from '../../../../lib/samplers/scheduler/scheduler.js';
import { SigmaTable } from '../../../../lib/samplers/scheduler/sigma-table.js';
import { noiseRatio } from '../../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../../lib/schedule/noise-schedule.js';
import { asSteps } from '../../../support/interpreter.js';
import { runOfConfig as run } from '../../../support/scheduler-cases.js';

const cosine = { beta_schedule: 'squaredcos_cap_v2' };
const leastEnd = { final_sigmas_type: 'sigma_min' };

describe('levels', () => {
  const multistep = { _class_name: 'DPMSolverMultistepScheduler' };

  it.each<[Record<string, unknown>, string]>([
    [{ use_karras_sigmas: true }, 'karras'],
    [{ use_exponential_sigmas: true }, 'logsnr'],
    [{ use_beta_sigmas: true }, 'beta'],
    [{}, 'linspace'],
  ])('are named as ours are: %j', (fields, trajectory) => {
    for (const name of ['EulerDiscreteScheduler', 'UniPCMultistepScheduler']) {
      expect(run({ _class_name: name, ...fields }).trajectory).toBe(trajectory);
    }
  });

  it('of Karras go before those of Lu, which go before exponential ones', () => {
    const lu = run({ ...multistep, use_lu_lambdas: true });
    expect(run({ ...multistep, use_lu_lambdas: true, use_karras_sigmas: true })).toEqual(
      run({ ...multistep, use_karras_sigmas: true }),
    );
    // Times are rounded to integers with the one and cut with the other.
    expect(run({ ...multistep, use_lu_lambdas: true, use_exponential_sigmas: true })).toEqual(lu);
    expect(run({ ...multistep, use_exponential_sigmas: true })).not.toEqual(lu);
  });

  it('of Lu are those of the betas, whatever sigma_min and sigma_max are', () => {
    const ends = { sigma_min: 0.1, sigma_max: 20 };
    expect(run({ ...multistep, use_lu_lambdas: true, ...ends })).toEqual(run({ ...multistep, use_lu_lambdas: true }));
    expect(run({ ...multistep, use_karras_sigmas: true, ...ends })).not.toEqual(
      run({ ...multistep, use_karras_sigmas: true }),
    );
  });

  it('beyond the betas have the first and the last time', () => {
    const wide = { use_karras_sigmas: true, sigma_min: 1e-4, sigma_max: 1e4 };
    const { timesteps } = run({ _class_name: 'EulerDiscreteScheduler', ...wide });
    expect([timesteps[0], timesteps.at(-1)]).toEqual([999, 0]);
  });

  it('of PNDM lie half an odd stride apart, rounded down', () => {
    const { timesteps, options } = run({ _class_name: 'PNDMScheduler' }, 8);
    expect(timesteps.slice(0, 5)).toEqual([875, 812, 812, 750, 750]);
    expect(options.levels[0]!.to!.alpha).toBeCloseTo(Math.sqrt(NoiseSchedule.linear().alphaBar(814)), 7);
  });

  // Values from the library; without rounding they are at the next levels, 908 and 888.
  it('of an ancestral KDPM2 hang on what float32 leaves of a difference of near numbers', () => {
    const middle = (fields: Record<string, unknown>, steps: number): number =>
      run({ _class_name: 'KDPM2AncestralDiscreteScheduler', ...cosine, ...fields }, steps).timesteps[1]!;
    expect(middle({ timestep_spacing: 'trailing' }, 11)).toBeCloseTo(927.2268, 3);
    expect(middle({}, 10)).toBeCloseTo(913.7938, 3);
  });

  it('that rise say so, and no others', () => {
    const ends = { ...leastEnd, use_exponential_sigmas: true, beta_schedule: 'scaled_linear' };
    const rises = (fields: Record<string, unknown>, steps = 10): number[] =>
      run({ _class_name: 'EulerDiscreteScheduler', ...fields }, steps).options.levels.flatMap((level, i) =>
        level.rises === true ? [i] : [],
      );
    expect(rises({ ...ends, sigma_min: 0.005 })).toEqual([9]);
    expect(rises({ ...ends, sigma_min: 0.05 })).toEqual([]);
    expect(rises(ends)).toEqual([]);
    expect(rises({ rescale_betas_zero_snr: true, prediction_type: 'v_prediction' }, 400)).toEqual([0]);
  });

  // As len(self.timesteps) is: without the noisiest times there are fewer than were asked for.
  it('say below how many orders are lowered', () => {
    const clipped = { ...multistep, timestep_spacing: 'trailing', lambda_min_clipped: -2 };
    const [few, more] = [run(clipped, 20), run(clipped, 25)];
    expect([few.evaluations, few.options.lowerOrderFinal]).toEqual([13, 'always']);
    expect([more.evaluations, more.options.lowerOrderFinal]).toEqual([16, false]);
  });

  it("of DALL-E 2's scheduler go from the last time to the first, whatever the file says", () => {
    const unclip = { _class_name: 'UnCLIPScheduler' };
    const own = run(unclip, 5);
    expect(own).toMatchObject({ sampler: 'ddpm', timesteps: [999, 749, 500, 250, 0], evaluations: 5 });
    expect(own.options).toMatchObject({ variance: 'beta-tilde', clip: 'static' });
    expect(own.options.finalNoise).toBeUndefined();
    expect(run({ ...unclip, timestep_spacing: 'trailing', steps_offset: 1 }, 5)).toEqual(own);
    expect(run({ ...unclip, variance_type: 'learned_range' }, 5).options.variance).toBe('learned');
    expect(run({ ...unclip, clip_sample: false }, 5).options.clip).toBe('none');
  });

  it('of the VE-SDE end exactly at sampling_eps', () => {
    const { timesteps } = run({ _class_name: 'ScoreSdeVeScheduler', correct_steps: 0 }, 2);
    expect(timesteps).toEqual([1348, 0.01 * (1348 / 0.01) ** Math.fround(1e-5)]);
  });
});

// The library's run is NaN, or starts at the second of two equal times.
describe('steps that divide by nothing are refused with the field they come from', () => {
  it.each<[name: string, fields: Record<string, unknown>, steps: number, message: RegExp]>([
    ...['DPMSolverMultistep', 'UniPCMultistep', 'DEISMultistep'].map(
      (name): [string, Record<string, unknown>, number, RegExp] => [
        name,
        { num_train_timesteps: 20, beta_end: 0.2 },
        20,
        /timestep_spacing is missing.* 20 steps of 20: solver_order 2 .* same level twice/,
      ],
    ),
    [
      'UniPCMultistep',
      { use_karras_sigmas: true, sigma_min: 2, sigma_max: 2 },
      5,
      /use_karras_sigmas.* same level twice/,
    ],
    ['KDPM2AncestralDiscrete', cosine, 9, /beta_schedule is "squaredcos_cap_v2".*2\.03e\+4 to 5/],
    ['KDPM2AncestralDiscrete', { use_exponential_sigmas: true, beta_end: 0.03 }, 2, /beta_schedule is missing/],
    ...['EulerDiscrete', 'UniPCMultistep', 'HeunDiscrete', 'DPMSolverMultistep'].flatMap((name) =>
      ['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'].map(
        (spread): [string, Record<string, unknown>, number, RegExp] => [
          name,
          { [spread]: true, sigma_min: 0 },
          5,
          /sigma_min is 0, it has to be a positive number/,
        ],
      ),
    ),
    ['EulerDiscrete', { use_karras_sigmas: true, sigma_max: 0 }, 5, /sigma_max is 0, it has to be a positive number/],
    [
      'EulerAncestralDiscrete',
      { rescale_betas_zero_snr: true, prediction_type: 'v_prediction' },
      400,
      /rescale_betas_zero_snr is true, it has to be false for as many steps/,
    ],
    ...['DPMSolverMultistep', 'DPMSolverSinglestep'].map((name): [string, Record<string, unknown>, number, RegExp] => [
      name,
      { algorithm_type: 'sde-dpmsolver++', use_karras_sigmas: true, sigma_min: 0.004, ...leastEnd },
      10,
      /sigma_min is 0\.004, it has to be at least the least noise of the betas/,
    ]),
  ])('%sScheduler %j in %d steps', (name, fields, steps, message) => {
    const make = (): unknown => run({ _class_name: `${name}Scheduler`, ...fields }, steps);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_DPM_CONFIG' }));
  });

  it.each<[name: string, fields: Record<string, unknown>, steps: number]>([
    // DEIS integrates over the width.
    ['DEISMultistep', { use_karras_sigmas: true, solver_order: 3, lower_order_final: false }, 20],
    ['DEISMultistep', { num_train_timesteps: 20, beta_end: 0.2, solver_order: 1 }, 20],
    ['DPMSolverMultistep', { num_train_timesteps: 3, beta_end: 0.4 }, 3],
    // Times beyond the network's are no more than ends of a spread.
    ['HeunDiscrete', { timestep_spacing: 'trailing', use_exponential_sigmas: true }, 61],
    ['EulerDiscrete', { timestep_spacing: 'leading', steps_offset: 999, use_karras_sigmas: true }, 5],
    // The field is not read if levels are not spread.
    ['EulerDiscrete', { sigma_min: 0 }, 5],
    ['KDPM2AncestralDiscrete', cosine, 10],
    ['KDPM2Discrete', cosine, 2],
    // Steps without noise of their own may rise.
    ['EulerDiscrete', { rescale_betas_zero_snr: true, prediction_type: 'v_prediction' }, 400],
    ['DPMSolverSinglestep', { use_karras_sigmas: true, sigma_min: 0.004, ...leastEnd }, 10],
  ])('and no others: %sScheduler %j in %d steps', (name, fields, steps) => {
    const schedule = NoiseSchedule.fromSchedulerConfig({ _class_name: `${name}Scheduler`, ...fields });
    expect(() => samplers.scheduler(schedule, { steps })).not.toThrow();
  });
});

describe('a last step that stays where it is', () => {
  const spread = { ...leastEnd, use_karras_sigmas: true };
  it.each<[name: string, fields: Record<string, unknown>, steps: number, lowered: unknown]>([
    ['DPMSolverMultistep', { ...spread, solver_order: 3 }, 20, 'last'],
    ['DPMSolverMultistep', { ...spread, solver_order: 3 }, 14, 'always'],
    ['DPMSolverMultistep', { ...leastEnd, use_lu_lambdas: true, solver_type: 'heun' }, 20, 'last'],
    ['DPMSolverMultistep', { ...spread, solver_type: 'heun', algorithm_type: 'dpmsolver' }, 20, 'last'],
    ['DPMSolverMultistep', { ...spread, solver_type: 'heun', algorithm_type: 'sde-dpmsolver++' }, 20, 'last'],
    ['DPMSolverMultistep', spread, 20, false],
    ['EDMDPMSolverMultistep', { ...leastEnd, solver_order: 3 }, 20, 'last'],
    ['EDMDPMSolverMultistep', leastEnd, 20, false],
    ['UniPCMultistep', { ...spread, solver_order: 3, lower_order_final: false }, 10, 'last'],
    ['UniPCMultistep', { ...spread, lower_order_final: false, predict_x0: false }, 10, false],
    ['DEISMultistep', { use_karras_sigmas: true, solver_order: 3 }, 20, false],
  ])('is of order 1 where others divide by its width: %sScheduler %j in %d steps', (name, fields, steps, lowered) => {
    const schedule = NoiseSchedule.fromSchedulerConfig({ _class_name: `${name}Scheduler`, ...fields });
    const { options } = schedulerRun(schedule, steps);
    expect(options.lowerOrderFinal).toBe(lowered);
    expect(noiseRatio(options.levels[steps]!)).toBe(noiseRatio(options.levels[steps - 1]!));
    const record = asSteps(samplers.scheduler(schedule, { steps })).records.at(-1)!;
    expect(record.variance.kind).toBe('none');
    if (name === 'UniPCMultistep') return;
    expect(record.x!.x).toBeCloseTo(1, 12);
    for (const weight of record.x!.history) expect(weight).toBeCloseTo(0, 12);
  });

  it('is another where it goes down by the last bit of float32', () => {
    const ends = { ...leastEnd, use_exponential_sigmas: true, solver_order: 3 };
    const { least } = new SigmaTable(NoiseSchedule.fromSchedulerConfig({ _class_name: 'UniPCMultistepScheduler' }));
    const lowered = (sigma_min: number): unknown =>
      run({ _class_name: 'DPMSolverMultistepScheduler', ...ends, sigma_min }, 20).options.lowerOrderFinal;
    expect(lowered(least * (1 + 2 ** -27))).toBe('last');
    expect(lowered(least * (1 + 2 ** -22))).toBe(false);
  });
});
