import type { GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { SchedulerClassName } from '../../schedule/scheduler-classes.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import type { ClipOption, SamplerOptions } from '../options.js';
import type { Sampler } from '../sampler.js';
import type { SchedulerFields } from './fields.js';

/** What a scheduler class comes to for a number of steps. */
export interface TranslatedRun {
  sampler: Sampler;
  /** How its times or levels are spread. */
  trajectory: Trajectory;
  /** Its levels and everything else that differs from the sampler's defaults. */
  options: SamplerOptions & { levels: readonly GivenLevel[] };
}

/**
 * Translates a class.
 *
 * @param steps - diffusers' `num_inference_steps`.
 */
export type Translate = (fields: SchedulerFields, steps: number) => TranslatedRun;

/** A scheduler's file in words of our own: the same run by name. */
export interface SchedulerRun {
  /** The class in diffusers. */
  scheduler: SchedulerClassName;
  /** The sampler that it is here. */
  sampler: string;
  /** How its times or levels are spread. */
  trajectory: Trajectory;
  /**
   * The options of that sampler; `levels` are the noise levels of its evaluations, exactly. `model.sample({ sampler, ...options })`
   * is the run of `sampler: 'scheduler'`.
   */
  options: SamplerOptions & { levels: readonly GivenLevel[] };
  /** What enters the network's time embedding, one number for every evaluation. */
  timesteps: number[];
  /** Network evaluations that the steps take. */
  evaluations: number;
}

/** The scheduler's own clip as an option. */
export function clipOption({ defaults: { clip } }: NoiseSchedule): ClipOption {
  if (clip.kind !== 'dynamic') return clip.kind;
  const { quantile, floor, ceiling } = clip;
  return { dynamic: quantile, floor, ...(ceiling !== undefined && { ceiling }) };
}

/** The clip of a class that has thresholding and no `clip_sample`. */
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
