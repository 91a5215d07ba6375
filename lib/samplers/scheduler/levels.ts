import { at } from '../../base/arrays.js';
import { symmetricBetaQuantile } from '../../schedule/beta-quantile.js';
import { betaShape, karrasRho } from '../../schedule/log-snr-spacing.js';
import { preserving, type Amplitudes, type GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { Spacing } from '../../schedule/spacing.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import type { SigmaSpacing } from './fields.js';

/** A noise level of diffusers': sigma / alpha, and the 0-based time, which may be a fraction. */
export interface SigmaLevel {
  ratio: number;
  time: number;
}

/** The given level of a sigma level. */
export function levelAt(schedule: NoiseSchedule, { ratio, time }: SigmaLevel): GivenLevel {
  return { ...preserving(ratio), time: schedule.networkTime(time + 1) };
}

/** The data, where a run ends. */
export const data: Amplitudes = { alpha: 1, sigma: 0 };

/** The given levels of a run through sigma levels, down to the ratio `last`; 0: the data. */
export function levelsDownTo(schedule: NoiseSchedule, levels: readonly SigmaLevel[], last: number): GivenLevel[] {
  // A spread that ends at the least noise may end a last bit below it.
  const end = Math.min(last, at(levels, levels.length - 1).ratio);
  return [...levels.map((level) => levelAt(schedule, level)), end === 0 ? data : preserving(end)];
}

/** What a spacing of levels is here; `spacing` where they are at times. */
export function trajectoryOf(sigmas: SigmaSpacing | null, spacing: Spacing): Trajectory {
  if (sigmas === null) return spacing;
  return sigmas === 'karras' || sigmas === 'beta' ? sigmas : 'logsnr';
}

/** Decreasing ratios from the greatest to the least. */
export function spreadRatios(
  spacing: SigmaSpacing,
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
    case 'lu':
    case 'exponential':
      return ramp(count).map((u) => Math.exp(Math.log(most) + u * (Math.log(least) - Math.log(most))));
    case 'beta':
      return ramp(count).map((u) => least + symmetricBetaQuantile(1 - u, betaShape) * (most - least));
  }
}

/** 0 to 1, one of them 0. */
function ramp(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? 0 : i / (count - 1)));
}
