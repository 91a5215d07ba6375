import type { StepProgram } from '../../program/program.js';
import type { Amplitudes, GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { SchedulerClassName } from '../../schedule/scheduler-classes.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import type { ClipOption, SamplerOptions } from '../options.js';
import type { Sampler } from '../sampler.js';
import type { SchedulerFields } from './fields.js';

/** Run of a scheduler class for a number of steps. */
export interface TranslatedRun {
  sampler: Sampler;
  /** Spacing of its times or levels. */
  trajectory: Trajectory;
  /** Levels and all other options that differ from the sampler's defaults. */
  options: SamplerOptions & { levels: readonly GivenLevel[] };
}

/**
 * Translates a class.
 *
 * @param steps - Number `num_inference_steps` of diffusers.
 */
export type Translate = (fields: SchedulerFields, steps: number) => TranslatedRun;

/** Run of a scheduler's file in names of this package. */
export interface SchedulerRun {
  /** Class in diffusers. */
  scheduler: SchedulerClassName;
  /** Name of the sampler here. */
  sampler: string;
  /** Spacing of its times or levels. */
  trajectory: Trajectory;
  /**
   * Options of that sampler; `levels` are the noise levels of its evaluations, exactly. `model.sample({ sampler, ...options
   * })` is the run of `sampler: 'scheduler'`.
   */
  options: SamplerOptions & { levels: readonly GivenLevel[] };
  /** Numbers that enter the network's time embedding, one for every evaluation. */
  timesteps: number[];
  /** Number of network evaluations of the steps. */
  evaluations: number;
}

/** Last steps of a run, which begin with a noised picture. */
export interface LaterRun {
  readonly program: StepProgram;
  /** Amplitudes of picture and noise in the states that it begins with. */
  readonly start: Amplitudes;
}

/** Gives the scheduler's own clip as an option. */
export function clipOption({ defaults: { clip } }: NoiseSchedule): ClipOption {
  if (clip.kind !== 'dynamic') return clip.kind;
  const { quantile, floor, ceiling } = clip;
  return { dynamic: quantile, floor, ...(ceiling !== undefined && { ceiling }) };
}

/** Gives the clip of a class that has thresholding and no `clip_sample`. */
export function thresholdOption({ config, schedule }: SchedulerFields): ClipOption {
  return config.boolean('thresholding', false) ? clipOption(schedule) : 'none';
}

/**
 * Refuses outputs that a class of diffusers does not know.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function refuseSample({ config, className }: SchedulerFields): void {
  if (config.raw('prediction_type') !== 'sample') return;
  throw config.unsupported('prediction_type', `epsilon and v_prediction of ${className}`);
}
