import { ConfigReader } from '../files/config-reader.js';
import type { Clip } from '../program/record.js';
import { betasByName, type BetaName } from './betas.js';
import type { Prediction, ScheduleDefaults } from './defaults.js';
import { schedulerClasses, schedulerClassNames, type SchedulerClass } from './scheduler-classes.js';

/** Betas and defaults of samplers from a scheduler file. */
export interface BetaScheduler {
  kind: 'betas';
  name: BetaName | 'betas';
  betas: ArrayLike<number>;
  /** Values `beta_start` and `beta_end`; null if `trained_betas` are given. */
  ends: { start: number; end: number } | null;
  rescaleBetasZeroSnr: boolean;
  /** True if the network sees ln(sigma / alpha) / 4 instead of the time. */
  seesNoise: boolean;
  defaults: Omit<ScheduleDefaults, 'sigmaData' | 'dataRange'>;
}

/** Noise of growing deviation on unscaled data: the VE-SDE (Song et al. 2021) or EDM (Karras et al. 2022). */
export interface ExplodingScheduler {
  kind: 've' | 'edm';
  sigmaMin: number;
  sigmaMax: number;
  /** Deviation of the data for the preconditioning of EDM. */
  sigmaData?: number;
  defaults: { prediction: Prediction; clip: Clip };
}

export type SchedulerConfig = BetaScheduler | ExplodingScheduler;

function readEdm(config: ConfigReader, facts: SchedulerClass): ExplodingScheduler {
  const predictions = { epsilon: 'edm', v_prediction: 'edm-v' } as const;
  return {
    kind: 'edm',
    sigmaMin: config.number('sigma_min', 0.002),
    sigmaMax: config.number('sigma_max', 80),
    sigmaData: config.number('sigma_data', 0.5),
    defaults: {
      prediction: predictions[config.choice('prediction_type', 'epsilon', ['epsilon', 'v_prediction'])],
      clip: readClip(config, facts),
    },
  };
}

const predictions = { epsilon: 'epsilon', sample: 'x0', v_prediction: 'v' } as const;

const variances = {
  fixed_small: 'beta-tilde',
  fixed_small_log: 'beta-tilde',
  fixed_large: 'beta',
  fixed_large_log: 'beta',
  learned_range: 'learned',
} as const;
const varianceTypes = Object.keys(variances) as (keyof typeof variances)[];

/** Reads the variance. Solvers use the first half of outputs with a variance: for them null and `learned` are equal. */
function readVariance(config: ConfigReader, facts: SchedulerClass): ScheduleDefaults['variance'] {
  const value = config.raw('variance_type') ?? null;
  if (value === null || (value === 'learned' && !facts.hasVariance)) return 'beta-tilde';
  return variances[config.choice('variance_type', 'fixed_small', varianceTypes)];
}

const betaRange = 'between 0 and 1';

function isBeta(value: number): boolean {
  return value > 0 && value < 1;
}

function readBetas(config: ConfigReader, facts: SchedulerClass): Pick<BetaScheduler, 'name' | 'betas' | 'ends'> {
  const trained = config.numbersOrNull('trained_betas');
  const steps = config.integer('num_train_timesteps', trained?.length ?? 1000, { least: 2, most: 1_000_000 });
  if (trained !== null) {
    if (steps !== trained.length)
      throw config.error('num_train_timesteps', `${trained.length} for as many trained_betas`);
    if (!trained.every(isBeta)) throw config.error('trained_betas', `numbers ${betaRange}`);
    return { name: 'betas', betas: trained, ends: null };
  }
  const start = config.number('beta_start', facts.betaStart);
  const end = config.number('beta_end', facts.betaEnd);
  const name = config.choice('beta_schedule', facts.betaSchedule, facts.betaSchedules);
  const betas = betasByName[name](steps, start, end);
  if (!betas.every(isBeta)) throw config.error(isBeta(start) ? 'beta_end' : 'beta_start', `${betaRange}, as all betas`);
  return { name, betas, ends: { start, end } };
}

function readThreshold(config: ConfigReader): Clip {
  const quantile = config.number('dynamic_thresholding_ratio', 0.995);
  if (!(quantile > 0 && quantile <= 1)) throw config.error('dynamic_thresholding_ratio', 'a number in (0, 1]');
  const ceiling = config.positive('sample_max_value', 1);
  // The threshold is at least 1: if it is at most 1, the default, it is always 1.
  return ceiling === 1 ? { kind: 'static', low: -1, high: 1 } : { kind: 'dynamic', quantile, floor: 1, ceiling };
}

function readClip(config: ConfigReader, facts: SchedulerClass): Clip {
  // A class that clips and has no thresholds ignores the field, a remnant of another class.
  const thresholds = facts.thresholds || facts.clips === null;
  if (thresholds && config.boolean('thresholding', false)) return readThreshold(config);
  if (!config.boolean('clip_sample', facts.clips ?? false)) return { kind: 'none' };
  const range = config.number('clip_sample_range', 1);
  return { kind: 'static', low: -range, high: range };
}

/**
 * Reads a diffusers `scheduler_config.json` for the network's training: its noise schedule and the defaults of
 * samplers. The sampler of its class is a separate matter (`sampler: 'scheduler'`).
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for another class, and the errors of its fields.
 */
export function parseSchedulerConfig(raw: Readonly<Record<string, unknown>>, source: string): SchedulerConfig {
  const config = new ConfigReader(raw, source);
  const facts = schedulerClasses[config.choice('_class_name', 'DDPMScheduler', schedulerClassNames)];
  switch (facts.kind) {
    case 'edm':
      return readEdm(config, facts);
    case 've':
      return {
        kind: 've',
        sigmaMin: config.number('sigma_min', 0.01),
        sigmaMax: config.number('sigma_max', 1348),
        defaults: { prediction: 'score', clip: { kind: 'none' } },
      };
    case 'betas':
      return readBetaScheduler(config, facts);
  }
}

/** Tells whether the network sees ln(sigma / alpha) / 4 instead of the time: diffusers uses the field only with v. */
export function seesNoise(config: ConfigReader, prediction: Prediction): boolean {
  return config.choice('timestep_type', 'discrete', ['discrete', 'continuous']) === 'continuous' && prediction === 'v';
}

function readBetaScheduler(config: ConfigReader, facts: SchedulerClass): BetaScheduler {
  const { name, betas, ends } = readBetas(config, facts);
  const prediction = predictions[config.choice('prediction_type', 'epsilon', ['epsilon', 'sample', 'v_prediction'])];
  return {
    kind: 'betas',
    name,
    betas,
    ends,
    rescaleBetasZeroSnr: facts.rescales && config.boolean('rescale_betas_zero_snr', false),
    seesNoise: facts.continuous && seesNoise(config, prediction),
    defaults: {
      clip: readClip(config, facts),
      prediction,
      variance: readVariance(config, facts),
    },
  };
}
