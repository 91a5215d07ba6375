import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { checkOptions, instanceOf, kinds, numberOrNumbers, requireKind } from '../base/option-kinds.js';
import { DpmError } from '../base/errors.js';
import type { SignalCurve } from './curve.js';
import { completeDefaults, type ScheduleDefaults } from './defaults.js';
import { networkTimeFunction, type NetworkTime, type TimeAxis } from './network-time.js';
import { extendedRecipe, type ScheduleRecipe } from './recipe.js';
import {
  scheduleOptionKinds as of,
  type BetaScheduleOptions,
  type CosineScheduleOptions,
  type EdmScheduleOptions,
  type NoiseOnlyScheduleOptions,
  type RateScheduleOptions,
  type ScheduleOptions,
  type SdeScheduleOptions,
} from './schedule-options.js';
import {
  betaParts,
  cosineParts,
  edmParts,
  linearParts,
  scaledLinearParts,
  schedulerParts,
  veParts,
  vpDiscreteParts,
  vpParts,
  type SchedulerFile,
  type ScheduleParts,
} from './schedule-parts.js';

/** Checks a time. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no number. */
function requireTime(time: number): number {
  requireKind('the time', time, kinds.number);
  return time;
}

/**
 * Mixture of signal and noise over time: x_t = sqrt(A_t) x_0 + sqrt(B_t) eps. B = 1 - A (variance preserving), except
 * for the schedules of {@link NoiseSchedule.ve} and {@link NoiseSchedule.edm}, where A = 1.
 *
 * On a discrete schedule the time is n = 0..N, where 0 is the data and n = 1 the first noisy state; on a continuous one
 * it is t in [0, 1], or the standard deviation of the noise where A = 1. ln A is the primary quantity, in float64; B is
 * taken from it by `expm1`, so nothing cancels near the data.
 *
 * @example
 * ```ts
 * const schedule = NoiseSchedule.cosine({ steps: 4000 });
 * schedule.alphaBar(2000);
 * ```
 */
export class NoiseSchedule {
  /** Name, a short description, e.g. `linear`. */
  readonly name: string;
  /** Number of times N the network was trained on. */
  readonly steps: number;
  /** Scheduler file of `fromSchedulerConfig`, which `sampler: 'scheduler'` runs; null for none. */
  readonly scheduler: SchedulerFile | null;
  /** True if the time is an integer n = 0..N, false if it is t in [0, 1]. */
  readonly discrete: boolean;
  /** Defaults of samplers. */
  readonly defaults: ScheduleDefaults;
  /** Time at which sampling starts: N, 1, or the largest standard deviation of the noise. */
  readonly noisiest: number;
  /** Time before the data, the last: 1, 1/N or 1e-3, or the smallest standard deviation of the noise. */
  readonly cleanest: number;
  readonly #axis: TimeAxis;
  readonly #sde: SignalCurve | undefined;
  readonly #table: Float64Array | undefined;
  readonly #curve: SignalCurve;
  readonly #greatestTime: number;
  readonly #networkTimeRule: NetworkTime;
  readonly #networkTime: (time: number) => number;
  readonly #recipe: ScheduleRecipe | null;

  private constructor(parts: ScheduleParts, recipe: ScheduleRecipe | null) {
    this.#recipe = recipe;
    this.name = parts.name;
    this.steps = parts.steps;
    this.scheduler = parts.scheduler ?? null;
    this.discrete = parts.table !== undefined;
    this.noisiest = parts.noisiest;
    this.cleanest = parts.cleanest;
    this.#greatestTime = parts.greatestTime ?? parts.noisiest;
    this.#axis = parts.axis;
    this.#sde = parts.sde;
    this.defaults = completeDefaults(parts.defaults);
    this.#table = parts.table;
    this.#curve = parts.curve;
    this.#networkTimeRule = parts.networkTime ?? 'index';
    this.#networkTime = networkTimeFunction(this.#networkTimeRule, parts.steps, parts.axis);
  }

  /**
   * Makes a discrete schedule of even betas, by default c * 1e-4 .. c * 0.02 with c = 1000 / N (Ho et al. 2020).
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` if a beta is outside (0, 1).
   */
  static linear(options: RateScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.linear', options, of.rate);
    return new NoiseSchedule(linearParts(options), extendedRecipe([], 'linear', options));
  }

  /** Makes the discrete schedule of latent diffusion, betas squares of evenly spaced roots (Rombach et al. 2022). */
  static scaledLinear(options: RateScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.scaledLinear', options, of.rate);
    return new NoiseSchedule(scaledLinearParts(options), extendedRecipe([], 'scaledLinear', options));
  }

  /** Makes a discrete cosine schedule with betas limited to 0.999 (Nichol & Dhariwal 2021). */
  static cosine(options: CosineScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.cosine', options, of.cosine);
    return new NoiseSchedule(cosineParts(options), extendedRecipe([], 'cosine', options));
  }

  /** Makes a discrete schedule from b_1 … b_N, each in (0, 1). */
  static fromBetas(betas: ArrayLike<number>, options: BetaScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.fromBetas', options, of.betas);
    requireKind('betas', betas, kinds.numbers);
    return new NoiseSchedule(betaParts('betas', betas, options), extendedRecipe([], 'fromBetas', betas, options));
  }

  /**
   * Makes the VP-SDE with beta(t) = start + t (end - start) (Song et al. 2021); `steps` is the N of the `networkTime`
   * maps.
   */
  static vp(options: SdeScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.vp', options, of.sde);
    return new NoiseSchedule(vpParts(options), extendedRecipe([], 'vp', options));
  }

  /**
   * Makes a schedule of noise alone, A = 1: the time is the standard deviation of the noise, from `sigmaMin` to
   * `sigmaMax` (the VE-SDE of Song et al. 2021). Default: the network gives the score and sees that deviation.
   */
  static ve(options: NoiseOnlyScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.ve', options, of.noiseOnly);
    return new NoiseSchedule(veParts(options), extendedRecipe([], 've', options));
  }

  /**
   * Makes the schedule of EDM networks (Karras et al. 2022): A = 1, the time is the standard deviation of the noise,
   * and the network is preconditioned for data of standard deviation `sigmaData`, 0.5 by default.
   */
  static edm(options: EdmScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.edm', options, of.edm);
    return new NoiseSchedule(edmParts(options), extendedRecipe([], 'edm', options));
  }

  /** Makes the VP-SDE discretised exactly: A_n equals the continuous A at t = n / N ("vpsde_N"). */
  static vpDiscrete(options: SdeScheduleOptions = {}): NoiseSchedule {
    checkOptions('NoiseSchedule.vpDiscrete', options, of.sde);
    return new NoiseSchedule(vpDiscreteParts(options), extendedRecipe([], 'vpDiscrete', options));
  }

  /**
   * Makes the schedule of a diffusers `scheduler_config.json`, with its clipping, prediction type and variance as
   * defaults. Its class tells whether the network was trained with betas, with the VE-SDE or as EDM networks are.
   *
   * @param source - Name of the source in errors, e.g. the file's path.
   * @throws {@link DpmError} `ERR_DPM_CONFIG` if a value is wrong, `ERR_DPM_UNSUPPORTED` if it is not supported.
   */
  static fromSchedulerConfig(
    config: Readonly<Record<string, unknown>>,
    options: ScheduleOptions = {},
    source = 'scheduler_config.json',
  ): NoiseSchedule {
    checkOptions('NoiseSchedule.fromSchedulerConfig', options, of.plain);
    requireKind('the scheduler configuration', config, kinds.object);
    requireKind('source', source, kinds.string);
    const recipe = extendedRecipe([], 'fromSchedulerConfig', config, options, source);
    return new NoiseSchedule(schedulerParts({ config, source }, options), recipe);
  }

  /** Calls that make it again in any thread; null if a function is a part of it. @internal */
  get recipe(): ScheduleRecipe | null {
    return this.#recipe;
  }

  #parts(): ScheduleParts {
    return {
      name: this.name,
      steps: this.steps,
      ...(this.#table && { table: this.#table }),
      curve: this.#curve,
      sde: this.#sde,
      axis: this.#axis,
      noisiest: this.noisiest,
      cleanest: this.cleanest,
      greatestTime: this.#greatestTime,
      networkTime: this.#networkTimeRule,
      defaults: this.defaults,
      scheduler: this.scheduler,
    };
  }

  /** Width of the interval of the data, 2 for [-1, 1]. */
  get dataWidth(): number {
    const [low, high] = this.defaults.dataRange;
    return high - low;
  }

  /** Copies the schedule with another network time, or other defaults. */
  with(options: ScheduleOptions): NoiseSchedule {
    checkOptions('schedule.with', options, of.plain);
    return new NoiseSchedule(
      {
        ...this.#parts(),
        ...(options.networkTime !== undefined && { networkTime: options.networkTime }),
        defaults: { ...this.defaults, ...options.defaults },
      },
      extendedRecipe(this.#recipe, 'with', options),
    );
  }

  /**
   * Makes this schedule continuous in time t = n / N, ln A interpolated linearly in t between the knots and extended by
   * the outermost segments (the discrete wrapper of DPM-Solver, Lu et al. 2022). The network sees the value of n = t N,
   * a fraction: 1000 (t - 1/N) with the networkTime `rescaled`, or `index` and N = 1000, as DPM-Solver does. Its
   * noisiest time is the last knot whose half log-SNR is not below -5.1.
   */
  continuous(options: { networkTime?: NetworkTime } = {}): NoiseSchedule {
    checkOptions('schedule.continuous', options, { networkTime: of.plain.networkTime });
    if (!this.discrete) return options.networkTime === undefined ? this : this.with(options);
    return this.#onUnitAxis(this.#curve, extendedRecipe(this.#recipe, 'continuous', options), options.networkTime);
  }

  /**
   * Makes the SDE behind a discrete schedule, in continuous time: the VP-SDE whose rate grows linearly for evenly
   * spaced betas and {@link NoiseSchedule.vpDiscrete}, {@link NoiseSchedule.continuous} for others.
   */
  sde(): NoiseSchedule {
    return this.discrete ? this.#onUnitAxis(this.#sde ?? this.#curve, extendedRecipe(this.#recipe, 'sde')) : this;
  }

  /**
   * Maximum time that a solver may start from: 1 for a continuous schedule. Exception: betas that reach 0.999, as those
   * of the cosine schedule do, for which one step beyond {@link NoiseSchedule.noisiest} would lead through noise alone.
   */
  get greatestTime(): number {
    return this.#greatestTime;
  }

  /** Finds the last n of half log-SNR -5.1 or more: beyond, solvers take a long step through noise (Lu et al. 2022). */
  #lastUsedTime(): number {
    let n = this.steps;
    while (n > 1 && this.logSnr(n) < -5.1) --n;
    return n;
  }

  /** Tells whether a beta reaches 0.999, where cosine schedules are cut off. */
  #isCapped(): boolean {
    const limit = Math.log(1.001e-3);
    return this.#table?.some((value, n, table) => n > 0 && value - at(table, n - 1) < limit) ?? false;
  }

  #onUnitAxis(
    curve: SignalCurve,
    recipe: ScheduleRecipe | null,
    networkTime: NetworkTime = this.#networkTimeRule,
  ): NoiseSchedule {
    const { steps } = this;
    const inherited = networkTime === this.#networkTimeRule && typeof networkTime === 'function';
    const { table: _, ...parts } = this.#parts();
    const onAxis: ScheduleParts = {
      ...parts,
      curve,
      axis: 'unit',
      noisiest: this.#lastUsedTime() / steps,
      greatestTime: this.#isCapped() ? this.#lastUsedTime() / steps : 1,
      cleanest: 1 / steps,
      networkTime: inherited ? (time) => networkTime(time * steps) : networkTime,
    };
    return new NoiseSchedule(onAxis, recipe);
  }

  /** True if B = 1 - A; false for {@link NoiseSchedule.ve} and {@link NoiseSchedule.edm}, where A = 1. */
  get preservesVariance(): boolean {
    return this.#axis !== 'sigma';
  }

  /** Computes ln A, A the cumulative signal power. */
  logAlphaBar(time: number): number {
    if (this.#table === undefined) return requireTime(time) === 0 ? 0 : this.#curve.logAlphaBar(time);
    if (!Number.isInteger(time) || time < 0 || time > this.steps) {
      throw wrongValue('the time', time, `an integer from 0 to ${this.steps}`);
    }
    return at(this.#table, time);
  }

  /** Computes A, the cumulative signal power (alpha bar of DDPM). */
  alphaBar(time: number): number {
    return Math.exp(this.logAlphaBar(time));
  }

  /** Computes B, the cumulative noise power; 1 - A if the variance is preserved. */
  betaBar(time: number): number {
    if (requireTime(time) === 0) return 0;
    return this.#table === undefined ? this.#curve.betaBar(time) : -Math.expm1(this.logAlphaBar(time));
  }

  /** Computes -d ln A / dt at a time of a continuous schedule, the rate beta(t) of a VP-SDE; 0 if A = 1. */
  rate(time: number): number {
    return this.#curve.rate(requireTime(time));
  }

  /** Computes the squared noise coefficient of the forward SDE dx = -rate / 2 x dt + sqrt(diffusion) dw, if continuous. */
  diffusion(time: number): number {
    return this.#curve.diffusion(requireTime(time));
  }

  /** Computes the standard deviation of states at a time far from the data, a start: 1, or that of the noise. */
  initialScale(time: number): number {
    return this.preservesVariance ? 1 : time;
  }

  /** Computes A_{t|s} = A_t / A_s for s cleaner than t. */
  alphaBarBetween(s: number, t: number): number {
    return Math.exp(this.logAlphaBar(t) - this.logAlphaBar(s));
  }

  /** Computes B_{t|s} = B_t - A_{t|s} B_s, the variance of q(x_t | x_s); 1 - A_{t|s} if B = 1 - A. */
  betaBarBetween(s: number, t: number): number {
    if (this.preservesVariance) return -Math.expm1(this.logAlphaBar(t) - this.logAlphaBar(s));
    return this.betaBar(t) - this.betaBar(s);
  }

  /** Computes V_{s|t} = B_{t|s} B_s / B_t, the variance of q(x_s | x_t, x_0); 0 for s = 0. */
  posteriorVariance(s: number, t: number): number {
    return (this.betaBarBetween(s, t) * this.betaBar(s)) / this.betaBar(t);
  }

  /** Computes half the log signal-to-noise ratio, ln(sqrt(A) / sqrt(B)), lambda of DPM-Solver; infinite at the data. */
  logSnr(time: number): number {
    return 0.5 * (this.logAlphaBar(time) - Math.log(this.betaBar(time)));
  }

  /** Finds the time at which {@link NoiseSchedule.logSnr} has this value; on a discrete schedule maybe a fraction. */
  timeOfLogSnr(logSnr: number): number {
    requireKind('logSnr', logSnr, kinds.number);
    const time = this.#curve.timeOfLogSnr(logSnr);
    return this.discrete ? time * this.steps : time;
  }

  /** Computes the number that enters the network's time embedding. */
  networkTime(time: number): number {
    return this.#networkTime(requireTime(time));
  }

  /**
   * Computes noisy states sqrt(A_n) x_0 + sqrt(B_n) eps.
   *
   * @param x0 - One or more samples, back to back.
   * @param epsilon - Standard normal noise, as many elements as `x0`.
   * @param time - Time of the states, one for all of `x0`, or one per sample.
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the lengths do not fit.
   */
  addNoise(x0: Float32Array, epsilon: Float32Array, time: number | ArrayLike<number>): Float32Array {
    requireKind('x0', x0, kinds.floats);
    requireKind('epsilon', epsilon, kinds.floats);
    requireKind('time', time, numberOrNumbers);
    const times = typeof time === 'number' ? [time] : Array.from(time);
    const elements = x0.length / times.length;
    if (epsilon.length !== x0.length || !Number.isInteger(elements)) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `addNoise got ${x0.length} elements of x0, ${epsilon.length} of noise and ${times.length} times`,
      );
    }
    const noisy = new Float32Array(x0.length);
    times.forEach((each, sample) => {
      const [signal, noise] = [Math.sqrt(this.alphaBar(each)), Math.sqrt(this.betaBar(each))];
      for (let i = sample * elements; i < (sample + 1) * elements; ++i) {
        noisy[i] = signal * at(x0, i) + noise * at(epsilon, i);
      }
    });
    return noisy;
  }
}

/** Kind of a schedule. */
export const scheduleKind = instanceOf('a NoiseSchedule', NoiseSchedule);

/**
 * Refuses a value that is no schedule, which plain JavaScript can give.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireSchedule(schedule: unknown): asserts schedule is NoiseSchedule {
  requireKind('the schedule', schedule, scheduleKind);
}
