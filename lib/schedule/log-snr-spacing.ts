import { symmetricBetaQuantile } from './beta-quantile.js';

/** Exponent of Karras' spacing (Karras et al. 2022, table 1). */
export const karrasRho = 7;

/** Half the log-SNR at a fraction of the way from one noise level to another, evenly in (sigma / alpha)^(1 / rho). */
function karrasLogSnr(from: number, to: number, fraction: number, rho: number): number {
  const [start, end] = [Math.exp(-from / rho), Math.exp(-to / rho)];
  return -rho * Math.log(start + fraction * (end - start));
}

/** Both shapes of the distribution by whose quantiles `beta` spreads the noise (Lee et al. 2024). */
export const betaShape = 0.6;

/** Half the log-SNR at a fraction of the way, sigma / alpha by quantiles of the beta distribution between both ends. */
function betaLogSnr(from: number, to: number, fraction: number): number {
  const [start, end] = [Math.exp(-from), Math.exp(-to)];
  return -Math.log(start + symmetricBetaQuantile(fraction, betaShape) * (end - start));
}

/** Where a spacing in log-SNR is at a fraction of the way between two; null for one that is not in log-SNR. */
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
