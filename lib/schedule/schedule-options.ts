import { either, kinds, type OptionKinds } from '../base/option-kinds.js';
import type { ScheduleDefaults } from './defaults.js';
import type { NetworkTime } from './network-time.js';

/** Options of every noise schedule. */
export interface ScheduleOptions {
  /** Map of the state's time to the network's. */
  networkTime?: NetworkTime;
  /** Defaults of samplers. */
  defaults?: Partial<ScheduleDefaults>;
}

/** Options of a table of betas. */
export interface BetaScheduleOptions extends ScheduleOptions {
  /**
   * Switch: the table is moved and stretched so that the last state is noise alone (Lin et al. 2024, diffusers'
   * `rescale_betas_zero_snr`). The network then has to predict x_0 or v. Default false.
   */
  rescaleBetasZeroSnr?: boolean;
}

/** Options of a VP-SDE. */
export interface SdeScheduleOptions extends ScheduleOptions {
  /** Number of times N. Default 1000. */
  steps?: number;
  /** Beta of the first time, or the rate at t = 0. */
  start?: number;
  /** Beta of the last time, or the rate at t = 1. */
  end?: number;
}

/** Options of a schedule of evenly spaced betas or of their roots. */
export interface RateScheduleOptions extends SdeScheduleOptions, BetaScheduleOptions {}

/** Options of the cosine schedule. */
export interface CosineScheduleOptions extends BetaScheduleOptions {
  /** Number of times N. Default 1000. */
  steps?: number;
}

/** Options of a schedule of noise alone. */
export interface NoiseOnlyScheduleOptions extends ScheduleOptions {
  /** Minimum standard deviation of the noise. */
  sigmaMin?: number;
  /** Maximum standard deviation of the noise. */
  sigmaMax?: number;
}

/** Options of the schedule of EDM networks. */
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

/** Kinds of these options. */
export const scheduleOptionKinds = { plain: common, betas, rate, sde, cosine, noiseOnly, edm };
