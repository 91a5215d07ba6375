import { at } from '../arrays.js';
import { DpmError } from '../errors.js';
import type { Clip } from '../samplers/program.js';
import { cosineBetas, linearBetas, logAlphaBarOfBetas, scaledLinearBetas } from './betas.js';
import { interpolatedCurve, linearRateCurve, logAddExp, type SignalCurve } from './curve.js';
import { networkTimeFunction, type NetworkTime } from './network-time.js';
import { parseSchedulerConfig } from './scheduler-config.js';

/** What the network's output means. */
export type Prediction = 'epsilon' | 'x0' | 'v' | 'score' | 'edm';

/** Settings a scheduler file makes, which samplers take as defaults. */
export interface ScheduleDefaults {
  clip: Clip;
  prediction: Prediction;
  /** Variance of the DDPM sampler. */
  variance: 'beta' | 'beta-tilde' | 'learned';
}

export interface ScheduleOptions {
  networkTime?: NetworkTime;
  defaults?: Partial<ScheduleDefaults>;
}

interface ScheduleParts extends ScheduleOptions {
  /** Short description for tables on disk and messages, e.g. `linear`. */
  name: string;
  steps: number;
  /** ln A_0 … ln A_N, absent on a continuous schedule. */
  table?: Float64Array;
  curve: SignalCurve;
}

const plainDefaults: ScheduleDefaults = { clip: { kind: 'none' }, prediction: 'epsilon', variance: 'beta-tilde' };

/**
 * How signal and noise mix over time: x_t = sqrt(A_t) x_0 + sqrt(B_t) eps with B = 1 - A.
 *
 * On a discrete schedule the time is n = 0..N, where 0 is the data and n = 1 the first noisy state; on a continuous one it
 * is t in [0, 1]. ln A is the primary quantity, in float64; B is taken from it by `expm1`, so nothing cancels near the data.
 */
export class NoiseSchedule {
  /** Short description, e.g. `linear`. */
  readonly name: string;
  /** Number of times N the network was trained on. */
  readonly steps: number;
  /** Whether the time is an integer n = 0..N (true) or t in [0, 1]. */
  readonly discrete: boolean;
  readonly defaults: ScheduleDefaults;
  readonly #table: Float64Array | undefined;
  readonly #curve: SignalCurve;
  readonly #networkTimeRule: NetworkTime;
  readonly #networkTime: (time: number) => number;

  private constructor(parts: ScheduleParts) {
    this.name = parts.name;
    this.steps = parts.steps;
    this.discrete = parts.table !== undefined;
    this.defaults = { ...plainDefaults, ...parts.defaults };
    this.#table = parts.table;
    this.#curve = parts.curve;
    this.#networkTimeRule = parts.networkTime ?? 'index';
    this.#networkTime = networkTimeFunction(this.#networkTimeRule, parts.steps, this.discrete);
  }

  /**
   * Discrete schedule with evenly spaced betas, by default c * 1e-4 .. c * 0.02 with c = 1000 / N (Ho et al. 2020).
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` when a beta is outside (0, 1).
   */
  static linear(options: ScheduleOptions & { steps?: number; start?: number; end?: number } = {}): NoiseSchedule {
    const steps = checkedSteps(options.steps ?? 1000);
    const scale = 1000 / steps;
    const betas = linearBetas(steps, options.start ?? scale * 1e-4, options.end ?? scale * 0.02);
    return NoiseSchedule.#ofBetas('linear', betas, options);
  }

  /** Discrete schedule of latent diffusion, betas from the squares of evenly spaced roots (Rombach et al. 2022). */
  static scaledLinear(options: ScheduleOptions & { steps?: number; start?: number; end?: number } = {}): NoiseSchedule {
    const steps = checkedSteps(options.steps ?? 1000);
    return NoiseSchedule.#ofBetas(
      'scaled_linear',
      scaledLinearBetas(steps, options.start ?? 0.00085, options.end ?? 0.012),
      options,
    );
  }

  /** Discrete cosine schedule with betas limited to 0.999 (Nichol & Dhariwal 2021). */
  static cosine(options: ScheduleOptions & { steps?: number } = {}): NoiseSchedule {
    return NoiseSchedule.#ofBetas('squaredcos_cap_v2', cosineBetas(checkedSteps(options.steps ?? 1000)), options);
  }

  /** Discrete schedule from b_1 … b_N, each in (0, 1). */
  static fromBetas(betas: ArrayLike<number>, options: ScheduleOptions = {}): NoiseSchedule {
    return NoiseSchedule.#ofBetas('betas', betas, options);
  }

  /**
   * Continuous VP-SDE with beta(t) = start + t (end - start) (Song et al. 2021); `steps` is the N of the `networkTime` maps.
   */
  static vp(options: ScheduleOptions & { start?: number; end?: number; steps?: number } = {}): NoiseSchedule {
    const { start = 0.1, end = 20 } = options;
    if (!(start > 0 && end > start && Number.isFinite(end))) {
      throw new DpmError('ERR_DPM_CONFIG', `the VP schedule needs 0 < start < end, got ${start} and ${end}`);
    }
    const steps = checkedSteps(options.steps ?? 1000);
    return new NoiseSchedule({
      networkTime: 'vp999',
      ...options,
      name: 'vp',
      steps,
      curve: linearRateCurve(start, end),
    });
  }

  /**
   * The VP-SDE discretised exactly: A_n equals the continuous A at t = n / N ("vpsde_N").
   */
  static vpDiscrete(options: ScheduleOptions & { start?: number; end?: number; steps?: number } = {}): NoiseSchedule {
    const continuous = NoiseSchedule.vp(options);
    const table = Float64Array.from({ length: continuous.steps + 1 }, (_, n) =>
      n === 0 ? 0 : continuous.logAlphaBar(n / continuous.steps),
    );
    return NoiseSchedule.#ofTable('vpsde', table, { networkTime: 'vp999', ...options });
  }

  /**
   * The schedule of a diffusers `scheduler_config.json`, with its clipping, prediction type and variance as defaults.
   *
   * @param source - Named in errors, e.g. the file's path.
   * @throws {@link DpmError} `ERR_DPM_CONFIG` when a value is wrong, `ERR_DPM_UNSUPPORTED` when it is not supported.
   */
  static fromSchedulerConfig(
    config: Readonly<Record<string, unknown>>,
    options: ScheduleOptions = {},
    source = 'scheduler_config.json',
  ): NoiseSchedule {
    const parsed = parseSchedulerConfig(config, source);
    return NoiseSchedule.#ofBetas(parsed.name, parsed.betas, {
      ...options,
      defaults: { ...parsed.defaults, ...options.defaults },
    });
  }

  static #ofBetas(name: string, betas: ArrayLike<number>, options: ScheduleOptions): NoiseSchedule {
    return NoiseSchedule.#ofTable(name, logAlphaBarOfBetas(betas), options);
  }

  static #ofTable(name: string, table: Float64Array, options: ScheduleOptions): NoiseSchedule {
    return new NoiseSchedule({ ...options, name, steps: table.length - 1, table, curve: interpolatedCurve(table) });
  }

  /** The same schedule with another network time, or other defaults. */
  with(options: ScheduleOptions): NoiseSchedule {
    return new NoiseSchedule({
      name: this.name,
      steps: this.steps,
      curve: this.#curve,
      ...(this.#table && { table: this.#table }),
      networkTime: options.networkTime ?? this.#networkTimeRule,
      defaults: { ...this.defaults, ...options.defaults },
    });
  }

  /**
   * This schedule in continuous time t = n / N, ln A interpolated linearly in t between the knots and extended by the
   * outermost segments (the discrete wrapper of DPM-Solver, Lu et al. 2022). The network time becomes `dpm-solver` unless given.
   */
  continuous(options: { networkTime?: NetworkTime } = {}): NoiseSchedule {
    if (!this.discrete) return options.networkTime === undefined ? this : this.with(options);
    return new NoiseSchedule({
      name: this.name,
      steps: this.steps,
      curve: this.#curve,
      networkTime: options.networkTime ?? 'dpm-solver',
      defaults: this.defaults,
    });
  }

  /** ln A, A the cumulative signal power. */
  logAlphaBar(time: number): number {
    if (this.#table === undefined) return time === 0 ? 0 : this.#curve.logAlphaBar(time);
    if (!Number.isInteger(time) || time < 0 || time > this.steps) {
      throw new DpmError('ERR_DPM_ARGUMENT', `time ${time} is not an integer in 0..${this.steps}`);
    }
    return at(this.#table, time);
  }

  /** A, the cumulative signal power (alpha bar of DDPM). */
  alphaBar(time: number): number {
    return Math.exp(this.logAlphaBar(time));
  }

  /** B = 1 - A, the cumulative noise power. */
  betaBar(time: number): number {
    return -Math.expm1(this.logAlphaBar(time));
  }

  /** A_{t|s} = A_t / A_s for s cleaner than t. */
  alphaBarBetween(s: number, t: number): number {
    return Math.exp(this.logAlphaBar(t) - this.logAlphaBar(s));
  }

  /** B_{t|s} = 1 - A_{t|s}, the variance of q(x_t | x_s). */
  betaBarBetween(s: number, t: number): number {
    return -Math.expm1(this.logAlphaBar(t) - this.logAlphaBar(s));
  }

  /** V_{s|t} = B_{t|s} B_s / B_t, the variance of q(x_s | x_t, x_0); 0 for s = 0. */
  posteriorVariance(s: number, t: number): number {
    return (this.betaBarBetween(s, t) * this.betaBar(s)) / this.betaBar(t);
  }

  /** Half the log signal-to-noise ratio, ln(sqrt(A) / sqrt(B)), the lambda of DPM-Solver; infinite at the data. */
  logSnr(time: number): number {
    return 0.5 * (this.logAlphaBar(time) - Math.log(this.betaBar(time)));
  }

  /** The time at which {@link logSnr} has this value; on a discrete schedule a fraction between two n. */
  timeOfLogSnr(logSnr: number): number {
    const time = this.#curve.timeOf(-logAddExp(0, -2 * logSnr));
    return this.discrete ? time * this.steps : time;
  }

  /** The number that enters the network's time embedding. */
  networkTime(time: number): number {
    return this.#networkTime(time);
  }

  /**
   * sqrt(A_n) x_0 + sqrt(B_n) eps.
   *
   * @param x0 - One or more samples, back to back.
   * @param epsilon - Standard normal noise, as many elements as `x0`.
   * @param time - One time for all of `x0`, or one per sample.
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when the lengths do not fit.
   */
  addNoise(x0: Float32Array, epsilon: Float32Array, time: number | ArrayLike<number>): Float32Array {
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

function checkedSteps(steps: number): number {
  if (!Number.isInteger(steps) || steps < 2 || steps > 1_000_000) {
    throw new DpmError('ERR_DPM_CONFIG', `a noise schedule needs 2..1000000 steps, got ${steps}`);
  }
  return steps;
}
