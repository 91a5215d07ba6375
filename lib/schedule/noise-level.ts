import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Amplitudes of signal and noise of a state: alpha x_0 + sigma eps. */
export interface Amplitudes {
  /** Amplitude of the signal; 0: noise alone. */
  alpha: number;
  /** Amplitude of the noise; 0: the data. */
  sigma: number;
}

/** Adds noise to images: alpha times the images and sigma times the noise. */
export function noised(images: Float32Array, noise: Float32Array, { alpha, sigma }: Amplitudes): Float32Array {
  return images.map((value, i) => alpha * value + sigma * at(noise, i));
}

/** Noise level that is given, not taken from a noise schedule's times. */
export interface GivenLevel extends Amplitudes {
  /** Number that enters the network's time embedding; the last level, which nothing evaluates, needs none. */
  time?: number;
  /** Amplitudes after the step from this level, if not those of the next level. */
  to?: Amplitudes;
  /** True if the step from this level adds noise on balance, as in some schedulers. Default false: that is an error. */
  rises?: boolean;
}

/** Noise level of a state, and the network's time for it. */
export interface NoiseLevel extends Amplitudes {
  /** Time of the schedule; 0 at the data. */
  time: number;
  /** Number that enters the network's time embedding. */
  networkTime: number;
  /** Half log signal-to-noise ratio ln(alpha / sigma); infinite at the data. */
  logSnr: number;
}

/** Computes the level of a schedule's time. */
export function noiseLevel(schedule: NoiseSchedule, time: number): NoiseLevel {
  return {
    time,
    networkTime: schedule.networkTime(time),
    alpha: Math.sqrt(schedule.alphaBar(time)),
    sigma: Math.sqrt(schedule.betaBar(time)),
    logSnr: schedule.logSnr(time),
  };
}

/** Level of the data: no noise. */
export const dataLevel: NoiseLevel = { time: 0, networkTime: 0, alpha: 1, sigma: 0, logSnr: Infinity };

function timeOf(schedule: NoiseSchedule, { alpha, sigma }: Amplitudes, logSnr: number): number {
  if (sigma === 0) return 0;
  return alpha === 0 ? schedule.noisiest : schedule.timeOfLogSnr(logSnr);
}

/** Completes a given level; `networkTime` is NaN if it has none. */
export function levelOf(schedule: NoiseSchedule, { alpha, sigma, time = NaN }: GivenLevel): NoiseLevel {
  const logSnr = Math.log(alpha / sigma);
  return { time: timeOf(schedule, { alpha, sigma }, logSnr), networkTime: time, alpha, sigma, logSnr };
}

/** Computes sigma / alpha; 0 at the data. */
export function noiseRatio({ alpha, sigma }: Amplitudes): number {
  return sigma / alpha;
}

/** Computes the amplitudes of a ratio sigma / alpha whose powers add up to 1. */
export function preserving(ratio: number): Amplitudes {
  const alpha = 1 / Math.hypot(1, ratio);
  return { alpha, sigma: ratio * alpha };
}

/** Finds the level at which a schedule's sigma / alpha has this value. */
export function levelOfRatio(schedule: NoiseSchedule, ratio: number): NoiseLevel {
  const level = levelOf(schedule, schedule.preservesVariance ? preserving(ratio) : { alpha: 1, sigma: ratio });
  return { ...level, networkTime: schedule.networkTime(level.time) };
}

/** Level, and amplitudes after the step from it. */
export interface LevelStep {
  from: NoiseLevel;
  to: Amplitudes;
}

/**
 * Lists the steps between levels.
 *
 * @param given - Given levels that the levels were made from; their `to` replaces the next level.
 */
export function levelSteps(levels: readonly NoiseLevel[], given: readonly GivenLevel[] = []): LevelStep[] {
  return levels.slice(0, -1).map((from, i) => ({ from, to: given[i]?.to ?? at(levels, i + 1) }));
}

function refuse(index: number, problem: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', `levels: entry ${index} ${problem}`);
}

function checkAmplitudes(index: number, { alpha, sigma }: Amplitudes): void {
  if (!(alpha >= 0 && sigma >= 0 && alpha + sigma > 0 && Number.isFinite(alpha + sigma))) {
    throw refuse(index, `has alpha ${alpha} and sigma ${sigma}, they have to be numbers from 0, not both 0`);
  }
}

/**
 * Checks given levels: at least one and the result's, noise in each but the last, no more noise than before except
 * where it `rises`.
 *
 * @param stride - Distance of compared levels; 2: every other one is inside a step and may have less noise than the
 * next.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and the error.
 */
export function checkLevels(levels: readonly GivenLevel[], stride: 1 | 2 = 1): void {
  if (levels.length < 2) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'levels needs at least two: that of an evaluation and that of the result');
  }
  levels.forEach((level, index) => {
    checkAmplitudes(index, level);
    if (level.to !== undefined) checkAmplitudes(index, level.to);
  });
  levels.forEach((level, index) => {
    if (index === levels.length - 1) return;
    if (level.sigma === 0) throw refuse(index, 'has no noise: only the last may be the data');
    if (level.time === undefined || !Number.isFinite(level.time)) {
      throw refuse(index, `has the time ${String(level.time)}, every evaluation needs a number`);
    }
    if (level.rises === true) return;
    for (const end of [levels[index + stride], level.to]) {
      if (end === undefined) continue;
      if (end.sigma * level.alpha > level.sigma * end.alpha) throw refuse(index, 'has less noise than the next');
    }
  });
}
