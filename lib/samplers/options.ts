import { DpmError } from '../base/errors.js';
import { isCentred } from '../base/pixel-range.js';
import type { Prediction } from '../schedule/defaults.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Trajectory, TrajectoryOptions } from '../schedule/trajectory.js';
import type { GammaTable } from '../variance/gamma.js';
import { checkOptionValues } from './option-values.js';
import type { Clip } from '../program/record.js';
import type { Program } from '../program/program.js';

/** How the data prediction is clipped: not at all, to the data's range, or by dynamic thresholding. */
export type ClipOption = 'none' | 'static' | { dynamic: number; floor?: number };

/** Options of the samplers; each sampler takes those that apply to it and refuses the others. */
export interface SamplerOptions extends TrajectoryOptions {
  /** Number of network evaluations. */
  steps?: number;
  trajectory?: Trajectory;
  /** Share of the Markov process's noise in DDIM, 0 (deterministic) to 1. Default 0. */
  eta?: number;
  /** Default: the scheduler's for samplers of the data prediction, `none` for those of SDEs and of the noise prediction. */
  clip?: ClipOption;
  /** Variance of `ddpm`; default: the scheduler's. */
  variance?: 'beta' | 'beta-tilde' | 'learned';
  /** m_n = E||eps||^2 / d for n = 0..N (m_0 unused), for the analytic samplers. */
  gamma?: GammaTable | ArrayLike<number>;
  /**
   * Grey levels y the last noise may change a pixel by on average; null: no limit. Default 2 for the optimal variances in DDPM
   * form, 1 in DDIM form and for `ancestral`, null elsewhere.
   */
  lastNoiseClip?: number | null;
  /** What the network's output means. Default: the scheduler's. */
  prediction?: Prediction;
  /** The mean of a head's variances over a sample instead of one for each element. Default false. */
  avgCov?: boolean;
  /** Order of the solver. Default 2 (UniPC, adaptive DPM-Solver), 3 (DEIS). */
  order?: number;
  /** Second-order steps by the midpoint's or by Taylor's weights (DPM-Solver). Default `midpoint`. */
  solverType?: 'midpoint' | 'taylor';
  /**
   * Whether the last steps of a multistep solver have a lower order. `true`, the default but for DEIS: as its authors publish it
   * (DPM-Solver below 10 steps, UniPC always).
   */
  lowerOrderFinal?: boolean | 'always';
  /** Spend the last evaluation on replacing the state by the data prediction. Default false. */
  denoiseToZero?: boolean;
  /** B(h) of UniPC. Default `bh2`. */
  variant?: 'bh1' | 'bh2';
  /** Whether UniPC extrapolates the data or the noise prediction. Default `data`. */
  form?: 'data' | 'noise';
  /** Weight of the second difference in third-order multistep solvers; with `published` the order is 2. Default `exact`. */
  thirdOrder?: 'exact' | 'published';
  /** Variable of DEIS's polynomials: the time or ln(sigma / alpha). Default `time`. */
  basis?: 'time' | 'log-ratio';
  /** How the probability flow is integrated. Default `euler`. */
  solver?: 'euler' | 'rk45';
  /** Absolute tolerance of an adaptive solver. Default 0.0078, of RK45 1e-5. */
  atol?: number;
  /** Relative tolerance of an adaptive solver. Default 0.05, of RK45 1e-5. */
  rtol?: number;
  /** Signal-to-noise ratio r of the Langevin corrector. Default 0.16. */
  snr?: number;
  /** Norms that adaptive steps and correctors use: each sample's own (default), or over the batch as in the papers' code. */
  batchNorm?: 'sample' | 'reference';
}

export type SamplerOptionName = keyof SamplerOptions;

/** A sampler: a pure function from a schedule and options to a program. */
export type Sampler = (schedule: NoiseSchedule, options?: SamplerOptions) => Program;

/** Options every sampler of the reverse process takes. */
export const discreteOptionNames = [
  'steps',
  'trajectory',
  'timesteps',
  'costs',
  'tStart',
  'tEnd',
  'end',
  'clip',
  'prediction',
  'lastNoiseClip',
] as const satisfies readonly SamplerOptionName[];

/**
 * Refuses null, which plain JavaScript callers give, for the options and for each but the one that it means something for.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option.
 */
export function refuseNull(sampler: string, options: SamplerOptions | null): void {
  if (options === null) throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${sampler}: options is null, leave it out`);
  for (const [name, value] of Object.entries(options)) {
    if (value === null && name !== 'lastNoiseClip') {
      throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${sampler}: ${name} is null, leave it out for its default`);
    }
  }
}

/**
 * Refuses options the sampler does not take, and values that no sampler does.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and the valid ones.
 */
export function checkOptionNames(sampler: string, options: SamplerOptions, valid: readonly SamplerOptionName[]): void {
  refuseNull(sampler, options);
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !valid.some((each) => each === name)) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `sampler ${sampler} has no option '${name}'; its options: ${valid.join(', ')}`,
      );
    }
  }
  checkOptionValues(options);
}

function isDynamic(option: ClipOption): option is { dynamic: number; floor?: number } {
  return typeof option === 'object';
}

/** The clip of a record from the option, or the scheduler's clip. */
export function clipOf(schedule: NoiseSchedule, option: ClipOption | undefined): Clip {
  if (option === undefined) return schedule.defaults.clip;
  if (option === 'none') return { kind: 'none' };
  if (option === 'static') {
    const { clip, dataRange } = schedule.defaults;
    return clip.kind === 'static' ? clip : { kind: 'static', low: dataRange[0], high: dataRange[1] };
  }
  if (!isDynamic(option) || !(option.dynamic > 0 && option.dynamic <= 1)) {
    throw new DpmError('ERR_DPM_ARGUMENT', "clip has to be 'none', 'static' or { dynamic: quantile in (0, 1], floor }");
  }
  if (!isCentred(schedule.defaults.dataRange)) {
    const [low, high] = schedule.defaults.dataRange;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `clip: dynamic thresholding is of data from -1 to 1, here it is from ${low} to ${high}`,
    );
  }
  const { dynamic: quantile, floor = 1 } = option;
  if (!(floor > 0 && Number.isFinite(floor))) {
    throw new DpmError('ERR_DPM_ARGUMENT', `the floor of clip is ${floor}, it has to be a positive number`);
  }
  return { kind: 'dynamic', quantile, floor };
}

/** A checked share of the Markov noise. */
export function etaOf(option: number | undefined): number {
  const eta = option ?? 0;
  if (!(eta >= 0 && eta <= 1)) throw new DpmError('ERR_DPM_ARGUMENT', `eta is ${eta}, it has to be from 0 to 1`);
  return eta;
}

/** The checked option `order`, 1 to `most`. */
export function orderOf(option: number | undefined, standard: number, most: number): number {
  const order = option ?? standard;
  if (!Number.isInteger(order) || order < 1 || order > most) {
    throw new DpmError('ERR_DPM_ARGUMENT', `order is ${order}, it has to be an integer from 1 to ${most}`);
  }
  return order;
}
