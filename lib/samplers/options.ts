import { refuseUnknownOptions } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isObject } from '../base/option-kinds.js';
import { isCentred } from '../base/pixel-range.js';
import type { Clip } from '../program/record.js';
import type { Prediction } from '../schedule/defaults.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Trajectory, TrajectoryOptions } from '../schedule/trajectory.js';
import type { GammaTable } from '../variance/gamma.js';

/** Clip of the data prediction: none, to the data's range, or by dynamic thresholding. */
export type ClipOption = 'none' | 'static' | DynamicClipOption;

/** Dynamic thresholding (Saharia et al. 2022): x0 is limited to S = min(max(quantile, floor), ceiling) and divided by it. */
export interface DynamicClipOption {
  /** Quantile of |x0|, in (0, 1]. */
  dynamic: number;
  /** Minimum of the limit. Default 1. */
  floor?: number;
  /** Maximum of the limit. Default: none. */
  ceiling?: number;
}

/**
 * Options of all samplers. Each takes those that its facts list (`samplers.NAME.facts.options`), with ranges of its own, and
 * refuses the others.
 */
export interface SamplerOptions extends TrajectoryOptions {
  /** Number of network evaluations; in `full-ddpm` of steps, each of which takes several. */
  steps?: number;
  trajectory?: Trajectory;
  /** Standard deviation of the initial noise. Default 1, or that of the first level if the data keeps its size. */
  initialScale?: number;
  /** Share of the Markov process's noise in DDIM and KDPM2, 0 (deterministic) to 1. Default 0. */
  eta?: number;
  /** Switch: DDIM's direction takes the noise prediction that belongs to the clipped data prediction. Default false. */
  clippedNoise?: boolean;
  /**
   * Switch: `ddpm` or `full-ddpm` adds noise in the step to the data as well, as diffusers does if that starts from a time
   * above 0. Default false.
   */
  finalNoise?: boolean;
  /** Clip. Default: the scheduler's for samplers of the data prediction, `none` for SDEs and the noise prediction. */
  clip?: ClipOption;
  /** Variance of `ddpm`; default: the scheduler's. */
  variance?: 'beta' | 'beta-tilde' | 'learned';
  /** Moments m_n = E||eps||^2 / d for n = 0..N (m_0 unused), for the analytic samplers. */
  gamma?: GammaTable | ArrayLike<number>;
  /**
   * Maximum of grey levels by which the last noise changes a pixel on average; null: no limit. Default 2 for the optimal
   * variances in DDPM form, 1 in DDIM form and for `ancestral`, null elsewhere.
   */
  lastNoiseClip?: number | null;
  /** Meaning of the network's output. Default: the scheduler's. */
  prediction?: Prediction;
  /** Number of derivatives per step of `full-ddpm`, the dimension of the space of its noise: 1 to 20. Default 3. */
  lanczosSteps?: number;
  /** Switch: `full-ddpm` averages the network's derivative with its transpose. Default false. */
  symmetric?: boolean;
  /**
   * Number of probes, 1 to 1000, per step of `full-ddpm` for the diagonal of its covariances. Default: none, full ones.
   */
  diagonal?: number;
  /** Switch: the mean of a head's variances over a sample instead of one for each element. Default false. */
  avgCov?: boolean;
  /** Order of the solver. Default 2 (UniPC, adaptive DPM-Solver), 3 (DEIS), 4 (LMS), or that in a DPM-Solver's name. */
  order?: number;
  /** Choice of second-order steps by the midpoint's or by Taylor's weights (DPM-Solver). Default `midpoint`. */
  solverType?: 'midpoint' | 'taylor';
  /**
   * Choice of a lower order in the last steps of a multistep solver. `true`, the default except for DEIS: as its authors
   * publish it (DPM-Solver below 10 steps, UniPC always). `last`: the last step alone, which has order 1 then. A step to the
   * data always has order 1 (except for LMS).
   */
  lowerOrderFinal?: boolean | 'always' | 'last';
  /** Switch: the last evaluation replaces the state by the data prediction. Default false. */
  denoiseToZero?: boolean;
  /** Function B(h) of UniPC. Default `bh2`. */
  variant?: 'bh1' | 'bh2';
  /** Prediction that UniPC extrapolates: of the data or of the noise. Default `data`. */
  form?: 'data' | 'noise';
  /**
   * Weight of the second difference in third-order multistep solvers, and its sign in those of the SDE; with `published` the order
   * is 2. Default `exact`.
   */
  thirdOrder?: 'exact' | 'published';
  /** Indices of steps, from 0, whose result UniPC leaves without its corrector. Default none. */
  disableCorrector?: readonly number[];
  /** Variable of DEIS's polynomials: the time or ln(sigma / alpha). Default `time`. */
  basis?: 'time' | 'log-ratio';
  /** Values that PLMS and PNDM combine of past evaluations: noise predictions, or plain outputs. Default `noise`. */
  combines?: 'noise' | 'output';
  /** Noise that each step adds, as a share of the current one times the number of steps (Karras et al. 2022). Default 0. */
  sChurn?: number;
  /** Minimum of sigma / alpha at which noise is added. Default 0. */
  sTmin?: number;
  /** Maximum of sigma / alpha at which noise is added. Default Infinity. */
  sTmax?: number;
  /** Standard deviation of the noise that is added. Default 1. */
  sNoise?: number;
  /** Number of steps that an LCM was distilled from. Default 50. */
  originalSteps?: number;
  /** Factor of the time in an LCM's boundary condition. Default 10. */
  timestepScaling?: number;
  /** Integrator of the probability flow. Default `euler`. */
  solver?: 'euler' | 'rk45';
  /** Tolerance, absolute, of an adaptive solver. Default 0.0078, of RK45 1e-5. */
  atol?: number;
  /** Tolerance, relative, of an adaptive solver. Default 0.05, of RK45 1e-5. */
  rtol?: number;
  /** Signal-to-noise ratio r of the Langevin corrector. Default 0.16. */
  snr?: number;
  /** Number of corrector steps before every predictor step. Default 1. */
  correctorSteps?: number;
  /** Norms that adaptive steps and correctors use: each sample's own (default), or over the batch as in the papers' code. */
  batchNorm?: 'sample' | 'reference';
}

/** Name of an option that some sampler takes. */
export type SamplerOptionName = keyof SamplerOptions;

function isDynamic(option: ClipOption): option is DynamicClipOption {
  return isObject(option);
}

function requirePositive(limit: 'floor' | 'ceiling', value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `the ${limit} of clip is ${value}, it has to be a positive number`);
}

/** Gives the clip of a record from the option, or the scheduler's clip. */
export function clipOf(schedule: NoiseSchedule, option: ClipOption | undefined): Clip {
  if (option === undefined) return schedule.defaults.clip;
  if (option === 'none') return { kind: 'none' };
  if (option === 'static') {
    const { clip, dataRange } = schedule.defaults;
    return clip.kind === 'static' ? clip : { kind: 'static', low: dataRange[0], high: dataRange[1] };
  }
  if (!isDynamic(option) || !(option.dynamic > 0 && option.dynamic <= 1)) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      "clip has to be 'none', 'static' or { dynamic: quantile in (0, 1], floor, ceiling }",
    );
  }
  refuseUnknownOptions('clip', option, ['dynamic', 'floor', 'ceiling']);
  if (!isCentred(schedule.defaults.dataRange)) {
    const [low, high] = schedule.defaults.dataRange;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `clip: dynamic thresholding is of data from -1 to 1, here it is from ${low} to ${high}`,
    );
  }
  const { dynamic: quantile, floor = 1, ceiling } = option;
  requirePositive('floor', floor);
  if (ceiling === undefined) return { kind: 'dynamic', quantile, floor };
  requirePositive('ceiling', ceiling);
  return { kind: 'dynamic', quantile, floor, ceiling };
}

/** Tolerances and norm of an adaptive solver. */
export interface ErrorControl {
  atol: number;
  rtol: number;
  /** True for one norm for the whole batch, as in the authors' code, instead of one for each sample. */
  shared: boolean;
}

/** Reads the options `atol`, `rtol` and `batchNorm`. */
export function errorControl(options: SamplerOptions, standard: { atol: number; rtol: number }): ErrorControl {
  const { atol = standard.atol, rtol = standard.rtol, batchNorm } = options;
  return { atol, rtol, shared: batchNorm === 'reference' };
}
