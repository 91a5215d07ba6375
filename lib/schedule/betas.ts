import { DpmError } from '../base/errors.js';
import { shownValue } from '../base/text.js';

function evenly(steps: number, start: number, end: number): Float64Array {
  return Float64Array.from({ length: steps }, (_, i) =>
    steps === 1 ? start : start + (i / (steps - 1)) * (end - start),
  );
}

/** Makes b_n evenly spaced from `start` to `end` (Ho et al. 2020). */
export function linearBetas(steps: number, start: number, end: number): Float64Array {
  return evenly(steps, start, end);
}

/** Makes squares of evenly spaced square roots (latent diffusion, Rombach et al. 2022). */
export function scaledLinearBetas(steps: number, start: number, end: number): Float64Array {
  return evenly(steps, Math.sqrt(start), Math.sqrt(end)).map((root) => root * root);
}

/** Makes b_n = min(1 - f(n/N) / f((n-1)/N), 0.999) for a signal power f(u) that falls over u in [0, 1]. */
function betasOfSignal(steps: number, signal: (u: number) => number): Float64Array {
  return Float64Array.from({ length: steps }, (_, i) =>
    Math.min(1 - signal((i + 1) / steps) / signal(i / steps), 0.999),
  );
}

/** Makes betas of the signal power f(u) = cos^2((u + 0.008) / 1.008 * pi / 2) (Nichol & Dhariwal 2021). */
export function cosineBetas(steps: number): Float64Array {
  return betasOfSignal(steps, (u) => Math.cos((((u + 0.008) / 1.008) * Math.PI) / 2) ** 2);
}

/** Makes betas of the signal power f(u) = exp(-12 u) (diffusers' `exp`). */
export function exponentialBetas(steps: number): Float64Array {
  return betasOfSignal(steps, (u) => Math.exp(-12 * u));
}

/** Makes betas of a signal whose log signal-to-noise ratio has Laplace's distribution (diffusers' `laplace`). */
export function laplaceBetas(steps: number): Float64Array {
  return betasOfSignal(steps, (u) => {
    const sign = u <= 0.5 ? 1 : -1;
    const ratio = Math.exp(-0.5 * sign * Math.log(1 - 2 * Math.abs(0.5 - u) + 1e-6));
    return Math.sqrt(ratio / (1 + ratio));
  });
}

/** Makes betas that rise from `start` to `end` as a sigmoid over [-6, 6] (diffusers' `sigmoid`, of GeoDiff). */
export function sigmoidBetas(steps: number, start: number, end: number): Float64Array {
  return evenly(steps, -6, 6).map((x) => (end - start) / (1 + Math.exp(-x)) + start);
}

/** Functions that make betas, by diffusers' names. */
export const betasByName = {
  linear: linearBetas,
  scaled_linear: scaledLinearBetas,
  squaredcos_cap_v2: cosineBetas,
  exp: exponentialBetas,
  laplace: laplaceBetas,
  sigmoid: sigmoidBetas,
} as const satisfies Readonly<Record<string, (steps: number, start: number, end: number) => Float64Array>>;

/** Name of a `beta_schedule` of diffusers. */
export type BetaName = keyof typeof betasByName;

/**
 * Computes ln A_n for n = 0..N, A_n the product of 1 - b_i over i <= n.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` unless there are at least two betas, all in (0, 1).
 */
export function logAlphaBarOfBetas(betas: ArrayLike<number>): Float64Array {
  if (betas.length < 2) throw new DpmError('ERR_DPM_CONFIG', 'a noise schedule needs at least two betas');
  const logAlphaBar = new Float64Array(betas.length + 1);
  let sum = 0;
  for (const [index, beta] of Array.from(betas).entries()) {
    if (typeof (beta as unknown) !== 'number' || !(beta > 0 && beta < 1)) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `beta ${index + 1} of the noise schedule is ${shownValue(beta)}, it has to be in (0, 1)`,
      );
    }
    sum += Math.log1p(-beta);
    logAlphaBar[index + 1] = sum;
  }
  return logAlphaBar;
}

/**
 * Moves and stretches a table of ln A_n so that sqrt(A_1) stays and A_N becomes 0: the last state is noise alone (Lin
 * et al. 2024, algorithm 1). The last entry is -Infinity.
 */
export function rescaledToZeroSnr(logAlphaBar: Float64Array): Float64Array {
  const amplitudes = logAlphaBar.map((value) => Math.exp(value / 2));
  const [first = 1, last = 0] = [amplitudes[1], amplitudes.at(-1)];
  const stretch = first / (first - last);
  return amplitudes.map((amplitude, n) => (n === 0 ? 0 : 2 * Math.log((amplitude - last) * stretch)));
}
