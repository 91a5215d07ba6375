// Schedulers of the discrete reverse process: DDPM, DALL-E 2's, DDIM, PNDM and LCM.
import { at } from '../../base/arrays.js';
import { wrongValue } from '../../base/checks.js';
import type { Amplitudes, GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { roundHalfEven, spacedTimes, type Spacing } from '../../schedule/spacing.js';
import { ddim } from '../families/ddim.js';
import { ddpm } from '../families/ddpm.js';
import { lcm, lcmTimes } from '../families/lcm.js';
import { plms, pndm } from '../families/pndm.js';
import type { SchedulerFields } from './fields.js';
import { data } from './levels.js';
import { roundedAlphaBars } from './rounded-betas.js';
import { clipOption, refuseSample, type Translate, type TranslatedRun } from './run.js';

/** Lists decreasing integers of a spacing, 0-based. */
function timesOf(fields: SchedulerFields, spacing: Spacing, offset: number, count: number): number[] {
  const trained = fields.schedule.steps;
  return fields.times(() => spacedTimes(spacing, { count, trained, offset })).map(roundHalfEven);
}

/** States of the 0-based times, by diffusers' float32 table: last bits matter if a state is nearly all noise. */
class TimedStates {
  readonly #alphaBars: readonly number[];

  constructor(private readonly schedule: NoiseSchedule) {
    this.#alphaBars = roundedAlphaBars(schedule);
  }

  /** Gives signal and noise at a time; below the first one, where diffusers ends: the data, or the first time again. */
  at(time: number, end: 'data' | 'first' = 'data'): Amplitudes {
    if (time < 0 && end === 'data') return data;
    const alphaBar = at(this.#alphaBars, Math.max(time, 0));
    return { alpha: Math.sqrt(alphaBar), sigma: Math.sqrt(Math.fround(1 - alphaBar)) };
  }

  /** Gives the level that is evaluated at a time. */
  level(time: number): GivenLevel {
    return { ...this.at(time), time: this.schedule.networkTime(time + 1) };
  }
}

/** Makes a run of DDPM: every step goes to the next time, the last to the data. */
function ancestral({ schedule }: SchedulerFields, spacing: Spacing, times: readonly number[]): TranslatedRun {
  const states = new TimedStates(schedule);
  return {
    sampler: ddpm,
    trajectory: spacing,
    options: {
      levels: [...times.map((time) => states.level(time)), data],
      variance: schedule.defaults.variance,
      clip: clipOption(schedule),
      // Diffusers leaves the noise out at the time 0, not in the last step.
      ...(at(times, times.length - 1) > 0 && { finalNoise: true }),
    },
  };
}

/** Translates DDPM. */
export const translateDdpm: Translate = (fields, steps) => {
  const { config } = fields;
  if (config.raw('variance_type') === 'fixed_large_log') {
    throw config.unsupported('variance_type', 'the others, as diffusers takes the root of a negative number for it');
  }
  const { spacing, offset } = fields.spacing('leading');
  return ancestral(fields, spacing, timesOf(fields, spacing, offset, steps));
};

/** Translates DALL-E 2's scheduler: DDPM at times from the first to the last, whatever the file says of spacings. */
export const translateUnClip: Translate = (fields, steps) => {
  const { config } = fields;
  config.choice('variance_type', 'fixed_small_log', ['fixed_small_log', 'learned_range']);
  config.choice('prediction_type', 'epsilon', ['epsilon', 'sample']);
  fields.only('trained_betas', null);
  if (steps === 1) {
    throw wrongValue('steps', steps, `num_inference_steps of ${fields.className}, at least 2: the first and last time`);
  }
  return ancestral(fields, 'linspace', timesOf(fields, 'linspace', 0, steps));
};

/** Makes levels of steps back by a fixed stride, which with some spacings do not end at the next evaluation. */
function stridedLevels(
  states: TimedStates,
  times: readonly number[],
  stride: number,
  end: 'data' | 'first',
): GivenLevel[] {
  const goal = (time: number): Amplitudes => states.at(time - stride, end);
  const levels = times.map((time, i) => {
    const next = times[i + 1];
    const level = states.level(time);
    return next === undefined || next === time - stride ? level : { ...level, to: goal(time) };
  });
  return [...levels, goal(at(times, times.length - 1))];
}

/** Finds where a step below the first time ends. */
function endOf({ config }: SchedulerFields, absent: boolean): 'data' | 'first' {
  return config.boolean('set_alpha_to_one', absent) ? 'data' : 'first';
}

/** Translates DDIM: every step goes back by N / K. */
export const translateDdim: Translate = (fields, steps) => {
  const { schedule } = fields;
  const { spacing, offset } = fields.spacing('leading');
  const times = timesOf(fields, spacing, offset, steps);
  const stride = Math.floor(schedule.steps / steps);
  const levels = stridedLevels(new TimedStates(schedule), times, stride, endOf(fields, true));
  return { sampler: ddim, trajectory: spacing, options: { levels, clip: clipOption(schedule) } };
};

/** Transfer of PNDM: the network's time, and the times the state goes from and to. */
interface TimeTransfer {
  seen: number;
  from: number;
  to: number;
}

/** Lists the transfers of PLMS: the second evaluation completes the first step, and is repeated at the result. */
function plmsTransfers(times: readonly number[], stride: number): TimeTransfer[] {
  const all = times.map((time) => ({ seen: time, from: time, to: time - stride }));
  const [, second] = times;
  if (second === undefined) return all;
  const completed = { seen: second, from: second + stride, to: second };
  return [at(all, 0), completed, ...all.slice(1)];
}

/** Lists three steps of Runge and Kutta and then PLMS. */
function pndmTransfers(times: readonly number[], stride: number): TimeTransfer[] {
  const half = Math.floor(stride / 2);
  const blocks = [0, 1, 2].flatMap((i) => {
    const [from, to] = [at(times, i), at(times, i + 1)];
    return [
      { seen: from, from, to: from - half },
      { seen: to + half, from, to: to + half },
      { seen: to + half, from, to },
      { seen: to, from, to },
    ];
  });
  return [...blocks, ...times.slice(3).map((time) => ({ seen: time, from: time, to: time - stride }))];
}

/** Translates PNDM: with `skip_prk_steps` PLMS alone. */
export const translatePndm: Translate = (fields, steps) => {
  const { config, schedule } = fields;
  refuseSample(fields);
  const { spacing, offset } = fields.spacing('leading');
  const times = timesOf(fields, spacing, offset, steps);
  const stride = Math.floor(schedule.steps / steps);
  const end = endOf(fields, false);
  const skips = config.boolean('skip_prk_steps', false);
  if (!skips && steps < 4)
    throw config.error('skip_prk_steps', `true for ${steps} steps: without it at least 4 are needed`);
  const transfers = skips ? plmsTransfers(times, stride) : pndmTransfers(times, stride);
  const states = new TimedStates(schedule);
  const levels = transfers.map(({ seen, from, to }) => ({
    ...states.at(from),
    time: schedule.networkTime(seen + 1),
    to: states.at(to, end),
  }));
  const result = states.at(at(transfers, transfers.length - 1).to, end);
  return {
    sampler: skips ? plms : pndm,
    trajectory: spacing,
    options: {
      levels: [...levels, result],
      // Diffusers combines outputs before it makes noise predictions of them.
      ...(schedule.defaults.prediction === 'v' && { combines: 'output' }),
    },
  };
};

/**
 * Lists LCM's levels.
 *
 * @param strength - Share of the times that it was distilled for, from the data on.
 */
export function lcmLevels({ config, schedule }: SchedulerFields, steps: number, strength = 1): GivenLevel[] {
  const original = config.integer('original_inference_steps', 50, { least: 1, most: 1_000_000 });
  if (original > schedule.steps) {
    throw config.error('original_inference_steps', `at most ${schedule.steps}, the times of the network`);
  }
  const times = lcmTimes(schedule.steps, original, steps, strength);
  const states = new TimedStates(schedule);
  return [...times.map((time) => states.level(time)), data];
}

/** Translates LCM. */
export const translateLcm: Translate = (fields, steps) => ({
  sampler: lcm,
  trajectory: 'uniform',
  options: {
    levels: lcmLevels(fields, steps),
    timestepScaling: fields.config.number('timestep_scaling', 10),
    clip: clipOption(fields.schedule),
  },
});
