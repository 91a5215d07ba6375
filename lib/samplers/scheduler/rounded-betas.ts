import { at } from '../../base/arrays.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parseSchedulerConfig, type BetaScheduler } from '../../schedule/scheduler-config.js';

const { fround, sqrt } = Math;

/** Makes PyTorch's linspace of float32 numbers: from both ends with one float32 stride, each number rounded once. */
export function roundedLinspace(first: number, last: number, count: number): number[] {
  const [start, end] = [fround(first), fround(last)];
  const stride = fround(fround(end - start) / (count - 1));
  const half = Math.floor(count / 2);
  return Array.from({ length: count }, (_, i) =>
    fround(i < half ? start + stride * i : end - stride * (count - 1 - i)),
  );
}

/** Makes betas as diffusers has them, float32 numbers; for schedules that it makes in float32, by the same steps. */
function roundedBetas({ name, betas, ends }: BetaScheduler): number[] {
  const { start, end } = ends ?? { start: NaN, end: NaN };
  switch (name) {
    case 'linear':
      return roundedLinspace(start, end, betas.length);
    case 'scaled_linear':
      return roundedLinspace(sqrt(start), sqrt(end), betas.length).map((root) => fround(root * root));
    case 'sigmoid':
      return roundedLinspace(-6, 6, betas.length).map((x) => {
        const sigmoid = fround(1 / fround(1 + fround(Math.exp(-x))));
        return fround(fround(sigmoid * fround(end - start)) + fround(start));
      });
    default:
      return Array.from(betas, fround);
  }
}

/** Multiplies 1 - b, as PyTorch's cumprod of float32 numbers: it multiplies in double precision. */
function roundedProducts(betas: readonly number[]): number[] {
  let product = 1;
  return betas.map((beta) => {
    product *= fround(1 - beta);
    return fround(product);
  });
}

/** Makes betas of zero terminal SNR (Lin et al. 2024, algorithm 1), in float32 as diffusers does. */
function rescaled(betas: readonly number[]): number[] {
  const amplitudes = roundedProducts(betas).map((product) => fround(sqrt(product)));
  const [first, last] = [at(amplitudes, 0), at(amplitudes, amplitudes.length - 1)];
  const stretch = fround(first / fround(first - last));
  const powers = amplitudes.map((amplitude) => fround(fround(fround(amplitude - last) * stretch) ** 2));
  return powers.map((power, i) => fround(1 - (i === 0 ? power : fround(power / at(powers, i - 1)))));
}

/**
 * Computes A of the 0-based times as in diffusers' schedulers, float32 numbers of float32 betas; 0 for zero SNR.
 *
 * @param schedule - Schedule of a scheduler's file with betas.
 */
export function roundedAlphaBars({ scheduler }: NoiseSchedule): number[] {
  const parsed = scheduler && parseSchedulerConfig(scheduler.config, scheduler.source);
  if (parsed?.kind !== 'betas')
    throw new TypeError('roundedAlphaBars takes the schedule of a scheduler file with betas');
  const betas = roundedBetas(parsed);
  return roundedProducts(parsed.rescaleBetasZeroSnr ? rescaled(betas) : betas);
}
