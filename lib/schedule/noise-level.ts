import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** A state's amplitudes of signal and noise: alpha x_0 + sigma eps. */
export interface Amplitudes {
  /** Amplitude of the signal; 0: noise alone. */
  alpha: number;
  /** Amplitude of the noise; 0: the data. */
  sigma: number;
}

/** Images with noise: alpha times these and sigma times that. */
export function noised(images: Float32Array, noise: Float32Array, { alpha, sigma }: Amplitudes): Float32Array {
  return images.map((value, i) => alpha * value + sigma * at(noise, i));
}

/** A noise level that is given, not taken from a noise schedule's times. */
export interface GivenLevel extends Amplitudes {
  /** The number that enters the network's time embedding; the last level, which nothing evaluates, needs none. */
  time?: number;
  /** Where the step from here goes, where that is not the next level. */
  to?: Amplitudes;
  /** Whether the step from here goes to more noise, as those of some schedulers do. Default false: it is a mistake. */
  rises?: boolean;
}

/** A noise level of a state, and what the network is told of it. */
export interface NoiseLevel extends Amplitudes {
  /** The schedule's time; 0 at the data. */
  time: number;
  /** The number that enters the network's time embedding. */
  networkTime: number;
  /** ln(alpha / sigma); infinite at the data. */
  logSnr: number;
}

/** The level of a schedule's time. */
export function noiseLevel(schedule: NoiseSchedule, time: number): NoiseLevel {
  return {
    time,
    networkTime: schedule.networkTime(time),
    alpha: Math.sqrt(schedule.alphaBar(time)),
    sigma: Math.sqrt(schedule.betaBar(time)),
    logSnr: schedule.logSnr(time),
  };
}

/** The data: no noise. */
export const dataLevel: NoiseLevel = { time: 0, networkTime: 0, alpha: 1, sigma: 0, logSnr: Infinity };

function timeOf(schedule: NoiseSchedule, { alpha, sigma }: Amplitudes, logSnr: number): number {
  if (sigma === 0) return 0;
  return alpha === 0 ? schedule.noisiest : schedule.timeOfLogSnr(logSnr);
}

/** A given level; `networkTime` is NaN where it has none. */
export function levelOf(schedule: NoiseSchedule, { alpha, sigma, time = NaN }: GivenLevel): NoiseLevel {
  const logSnr = Math.log(alpha / sigma);
  return { time: timeOf(schedule, { alpha, sigma }, logSnr), networkTime: time, alpha, sigma, logSnr };
}

/** sigma / alpha; 0 at the data. */
export function noiseRatio({ alpha, sigma }: Amplitudes): number {
  return sigma / alpha;
}

/** The amplitudes of a ratio sigma / alpha whose powers add up to 1. */
export function preserving(ratio: number): Amplitudes {
  const alpha = 1 / Math.hypot(1, ratio);
  return { alpha, sigma: ratio * alpha };
}

/** The level at which a schedule's sigma / alpha is this. */
export function levelOfRatio(schedule: NoiseSchedule, ratio: number): NoiseLevel {
  const level = levelOf(schedule, schedule.preservesVariance ? preserving(ratio) : { alpha: 1, sigma: ratio });
  return { ...level, networkTime: schedule.networkTime(level.time) };
}

/** A level, and where the step from it goes. */
export interface LevelStep {
  from: NoiseLevel;
  to: Amplitudes;
}

/**
 * The steps between levels.
 *
 * @param given - What the levels were made of: a step goes where one of these says instead of to the next level.
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
 * Checks given levels: at least one and the result's, noise in each but the last, no more noise from one to the next unless it
 * `rises`.
 *
 * @param stride - 2 where every other one is inside a step and may have less noise than the next.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and what is wrong with it.
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
