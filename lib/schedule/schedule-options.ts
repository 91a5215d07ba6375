import { either, kinds, type OptionKinds } from '../base/option-kinds.js';
import type { ScheduleDefaults } from './defaults.js';
import type { NetworkTime } from './network-time.js';

/** What every noise schedule takes. */
export interface ScheduleOptions {
  /** What the network sees of the time. */
  networkTime?: NetworkTime;
  /** What samplers take where their options do not say otherwise. */
  defaults?: Partial<ScheduleDefaults>;
}

/** A table of betas. */
export interface BetaScheduleOptions extends ScheduleOptions {
  /**
   * Whether the table is moved and stretched so that the last state is noise alone (Lin et al. 2024, diffusers'
   * `rescale_betas_zero_snr`). There the network has to predict x_0 or v. Default false.
   */
  rescaleBetasZeroSnr?: boolean;
}

/** A VP-SDE. */
export interface SdeScheduleOptions extends ScheduleOptions {
  /** Number of times N. Default 1000. */
  steps?: number;
  /** The first beta, or the rate at t = 0. */
  start?: number;
  /** The last beta, or the rate at t = 1. */
  end?: number;
}

/** A schedule of evenly spaced betas or of their roots. */
export interface RateScheduleOptions extends SdeScheduleOptions, BetaScheduleOptions {}

/** The cosine schedule. */
export interface CosineScheduleOptions extends BetaScheduleOptions {
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

const common: OptionKinds<ScheduleOptions> = {
  networkTime: either(kinds.string, kinds.function),
  defaults: kinds.object,
};
const betas: OptionKinds<BetaScheduleOptions> = { ...common, rescaleBetasZeroSnr: kinds.boolean };
const sde: OptionKinds<SdeScheduleOptions> = { ...common, steps: kinds.number, start: kinds.number, end: kinds.number };
const noiseOnly: OptionKinds<NoiseOnlyScheduleOptions> = { ...common, sigmaMin: kinds.number, sigmaMax: kinds.number };
const rate: OptionKinds<RateScheduleOptions> = { ...sde, ...betas };
const cosine: OptionKinds<CosineScheduleOptions> = { ...betas, steps: kinds.number };
const edm: OptionKinds<EdmScheduleOptions> = { ...noiseOnly, sigmaData: kinds.number };

/** What each of these options may be. */
export const scheduleOptionKinds = { plain: common, betas, rate, sde, cosine, noiseOnly, edm };
