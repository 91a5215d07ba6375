import type { Amplitudes, GivenLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { symmetricBetaQuantile } from '../../schedule/beta-quantile.js';
import { betaShape } from '../../schedule/log-snr-spacing.js';
import type { SigmaSpacing } from './fields.js';

/** A noise level of diffusers': sigma / alpha, and the 0-based time, which may be a fraction. */
export interface SigmaLevel {
  ratio: number;
  time: number;
}

/** The state of a level whose signal and noise have the power 1 together. */
export function preserving(ratio: number): Amplitudes {
  const alpha = 1 / Math.hypot(1, ratio);
  return { alpha, sigma: ratio * alpha };
}

/** The given level of a sigma level. */
export function levelAt(schedule: NoiseSchedule, { ratio, time }: SigmaLevel): GivenLevel {
  return { ...preserving(ratio), time: schedule.networkTime(time + 1) };
}

/** The data, where a run ends. */
export const data: GivenLevel = { alpha: 1, sigma: 0 };

/** Exponent of Karras' spacing in diffusers, but for EDM's. */
const karrasRho = 7;

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
