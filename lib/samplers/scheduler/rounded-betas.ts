import type { NoiseSchedule } from '../../schedule/noise-schedule.js';

const { fround } = Math;

/** PyTorch's linspace of float32 numbers: from both ends with one float32 stride, each number rounded once. */
export function roundedLinspace(first: number, last: number, count: number): number[] {
  const [start, end] = [fround(first), fround(last)];
  const stride = fround(fround(end - start) / (count - 1));
  const half = Math.floor(count / 2);
  return Array.from({ length: count }, (_, i) =>
    fround(i < half ? start + stride * i : end - stride * (count - 1 - i)),
  );
}

/** Betas as the library has them, float32 numbers; of schedules that it makes in float32, by the same steps. */
function roundedBetas(schedule: NoiseSchedule): number[] {
  const { name, steps } = schedule;
  const betas = Array.from({ length: steps }, (_, i) => schedule.betaBarBetween(i, i + 1));
  const [first = 0, last = 0] = [betas[0], betas.at(-1)];
  switch (name) {
    case 'linear':
      return roundedLinspace(first, last, steps);
    case 'scaled_linear':
      return roundedLinspace(Math.sqrt(first), Math.sqrt(last), steps).map((root) => fround(root * root));
    default:
      return betas.map(fround);
  }
}

/** A of the 0-based times as diffusers' schedulers have it, float32 numbers of float32 betas; 0 where the last has zero SNR. */
export function roundedAlphaBars(schedule: NoiseSchedule): number[] {
  let product = 1;
  return roundedBetas(schedule).map((beta) => {
    // The library multiplies in double precision.
    product *= fround(1 - beta);
    return fround(product);
  });
}
