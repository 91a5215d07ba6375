/** Number of terms of the series below, which at one half are each half of the one before. */
const terms = 60;

/** Integrates t^(shape - 1) (1 - t)^(shape - 1) from 0 to x, for x up to one half. */
function incompleteBeta(x: number, shape: number): number {
  let coefficient = 1;
  let sum = 0;
  for (let n = 0; n < terms; ++n) {
    sum += coefficient / (shape + n);
    coefficient *= ((n + 1 - shape) / (n + 1)) * x;
  }
  return sum * x ** shape;
}

/**
 * Computes the quantile of the symmetric beta distribution at `probability`, in [0, 1].
 *
 * @param shape - Both parameters of the distribution, positive.
 */
export function symmetricBetaQuantile(probability: number, shape: number): number {
  if (probability > 0.5) return 1 - symmetricBetaQuantile(1 - probability, shape);
  const target = probability * 2 * incompleteBeta(0.5, shape);
  let [low, high] = [0, 0.5];
  // Halving ends at neighbouring doubles, as near 0 as they get.
  for (let middle = 0.25; low < middle && middle < high; middle = (low + high) / 2) {
    if (incompleteBeta(middle, shape) < target) low = middle;
    else high = middle;
  }
  return target === 0 ? 0 : high;
}

/** Exponent of Karras' spacing (Karras et al. 2022, table 1). */
export const karrasRho = 7;

/** Computes half the log-SNR at a fraction of the way between two noise levels, even in (sigma / alpha)^(1 / rho). */
function karrasLogSnr(from: number, to: number, fraction: number, rho: number): number {
  const [start, end] = [Math.exp(-from / rho), Math.exp(-to / rho)];
  return -rho * Math.log(start + fraction * (end - start));
}

/** Shape, both parameters, of the distribution by whose quantiles `beta` spreads the noise (Lee et al. 2024). */
export const betaShape = 0.6;

/** Computes half the log-SNR at a fraction of the way, sigma / alpha by quantiles of the beta distribution. */
function betaLogSnr(from: number, to: number, fraction: number): number {
  const [start, end] = [Math.exp(-from), Math.exp(-to)];
  return -Math.log(start + symmetricBetaQuantile(fraction, betaShape) * (end - start));
}

/** Computes the place of a spacing in log-SNR at a fraction of the way between two; null for other spacings. */
export function logSnrPlace(
  trajectory: string,
  from: number,
  to: number,
  rho = karrasRho,
): ((u: number) => number) | null {
  switch (trajectory) {
    case 'logsnr':
      return (u) => from + u * (to - from);
    case 'karras':
      return (u) => karrasLogSnr(from, to, u, rho);
    case 'beta':
      return (u) => betaLogSnr(from, to, u);
    default:
      return null;
  }
}
