import { DpmError } from '../base/errors.js';

function evenly(steps: number, start: number, end: number): Float64Array {
  return Float64Array.from({ length: steps }, (_, i) =>
    steps === 1 ? start : start + (i / (steps - 1)) * (end - start),
  );
}

/** b_n evenly spaced from `start` to `end` (Ho et al. 2020). */
export function linearBetas(steps: number, start: number, end: number): Float64Array {
  return evenly(steps, start, end);
}

/** Squares of evenly spaced square roots (latent diffusion, Rombach et al. 2022). */
export function scaledLinearBetas(steps: number, start: number, end: number): Float64Array {
  return evenly(steps, Math.sqrt(start), Math.sqrt(end)).map((root) => root * root);
}

/** b_n = min(1 - f(n/N) / f((n-1)/N), 0.999), f(u) = cos^2((u + 0.008) / 1.008 * pi / 2) (Nichol & Dhariwal 2021). */
export function cosineBetas(steps: number): Float64Array {
  const signal = (u: number): number => Math.cos((((u + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: steps }, (_, i) =>
    Math.min(1 - signal((i + 1) / steps) / signal(i / steps), 0.999),
  );
}

/**
 * ln A_n for n = 0..N, A_n the product of 1 - b_i over i <= n.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` unless there are at least two betas, all in (0, 1).
 */
export function logAlphaBarOfBetas(betas: ArrayLike<number>): Float64Array {
  if (betas.length < 2) throw new DpmError('ERR_DPM_CONFIG', 'a noise schedule needs at least two betas');
  const logAlphaBar = new Float64Array(betas.length + 1);
  let sum = 0;
  for (const [index, beta] of Array.from(betas).entries()) {
    if (!(beta > 0 && beta < 1)) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `beta ${index + 1} of the noise schedule is ${beta}, it has to be in (0, 1)`,
      );
    }
    sum += Math.log1p(-beta);
    logAlphaBar[index + 1] = sum;
  }
  return logAlphaBar;
}
