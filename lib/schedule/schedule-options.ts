import { optionNames } from '../base/checks.js';
import type { ScheduleDefaults } from './defaults.js';
import type { NetworkTime } from './network-time.js';

/** What every noise schedule takes. */
export interface ScheduleOptions {
  /** What the network sees of the time. */
  networkTime?: NetworkTime;
  /** What samplers take where their options do not say otherwise. */
  defaults?: Partial<ScheduleDefaults>;
}

/** A schedule of evenly spaced betas or of their roots, or a VP-SDE. */
export interface RateScheduleOptions extends ScheduleOptions {
  /** Number of times N. Default 1000. */
  steps?: number;
  /** The first beta, or the rate at t = 0. */
  start?: number;
  /** The last beta, or the rate at t = 1. */
  end?: number;
}

/** The cosine schedule. */
export interface CosineScheduleOptions extends ScheduleOptions {
  /** Number of times N. Default 1000. */
  steps?: number;
}

/** A schedule of noise alone. */
export interface NoiseOnlyScheduleOptions extends ScheduleOptions {
  /** The least standard deviation of the noise. */
  sigmaMin?: number;
  /** The largest. */
  sigmaMax?: number;
}

/** The schedule of EDM networks. */
export interface EdmScheduleOptions extends NoiseOnlyScheduleOptions {
  /** Standard deviation of the data. Default 0.5. */
  sigmaData?: number;
}

const common = { networkTime: true, defaults: true } as const;

/** The names of each of these options. */
export const scheduleOptionNames = {
  plain: optionNames<ScheduleOptions>(common),
  rate: optionNames<RateScheduleOptions>({ ...common, steps: true, start: true, end: true }),
  cosine: optionNames<CosineScheduleOptions>({ ...common, steps: true }),
  noiseOnly: optionNames<NoiseOnlyScheduleOptions>({ ...common, sigmaMin: true, sigmaMax: true }),
  edm: optionNames<EdmScheduleOptions>({ ...common, sigmaMin: true, sigmaMax: true, sigmaData: true }),
};
