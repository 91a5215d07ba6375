import { at } from '../../base/arrays.js';
import { betaShape, karrasRho, symmetricBetaQuantile } from '../../schedule/log-snr-spacing.js';
import { noiseRatio, preserving, type Amplitudes, type GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { Spacing } from '../../schedule/spacing.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import type { RatioSpacing, SigmaSpacing } from './fields.js';

/** Noise level of diffusers: sigma / alpha, and the 0-based time, which may be a fraction. */
export interface SigmaLevel {
  ratio: number;
  time: number;
}

/** Makes the given level of a sigma level. */
export function levelAt(schedule: NoiseSchedule, { ratio, time }: SigmaLevel): GivenLevel {
  return { ...preserving(ratio), time: schedule.networkTime(time + 1) };
}

/** Data, where a run ends. */
export const data: Amplitudes = { alpha: 1, sigma: 0 };

/** Makes the given levels of a run through sigma levels to the ratio `last`; 0: the data. */
export function levelsTo(schedule: NoiseSchedule, levels: readonly SigmaLevel[], last: number): GivenLevel[] {
  const end = lastRatio(at(levels, levels.length - 1).ratio, last);
  const given = levels.map((level) => levelAt(schedule, level));
  return withRises([...given, end === 0 ? data : preserving(end)]);
}

/** Gives `last`, or the ratio before it if only a last bit differs, by a spread: diffusers' float32 sigmas lose it. */
export function lastRatio(ratio: number, last: number): number {
  return Math.fround(ratio) === Math.fround(last) ? ratio : last;
}

/** Marks steps to more noise: the first with zero SNR, or the last if `sigma_min` is below the betas' least. */
export function withRises(levels: readonly GivenLevel[]): GivenLevel[] {
  return levels.map((level, i) => {
    const next = levels[i + 1];
    const rises = next !== undefined && noiseRatio(next) > noiseRatio(level);
    return rises ? { ...level, rises } : level;
  });
}

/** Names the trajectory of a spacing; `spacing` if levels are at times. */
export function trajectoryOf(sigmas: SigmaSpacing | null, spacing: Spacing): Trajectory {
  if (sigmas === null) return spacing;
  return sigmas === 'karras' || sigmas === 'beta' ? sigmas : 'logsnr';
}

/** Makes ratios whose logarithms fall evenly from `most` to `least`, logarithms both. */
export function evenRatios(most: number, least: number, count: number): number[] {
  return ramp(count).map((u) => Math.exp(most + u * (least - most)));
}

/** Makes decreasing ratios from the greatest to the least. */
export function spreadRatios(
  spacing: RatioSpacing,
  most: number,
  least: number,
  count: number,
  rho = karrasRho,
): number[] {
  switch (spacing) {
    case 'karras':
      return ramp(count).map((u) => {
        const [from, to] = [most ** (1 / rho), least ** (1 / rho)];
        return (from + u * (to - from)) ** rho;
      });
    case 'exponential':
      return evenRatios(Math.log(most), Math.log(least), count);
    case 'beta':
      return ramp(count).map((u) => least + symmetricBetaQuantile(1 - u, betaShape) * (most - least));
  }
}

/** Makes numbers from 0 to 1; a single one is 0. */
function ramp(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 0 : i / (count - 1)));
}
