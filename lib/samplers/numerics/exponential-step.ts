import { linear } from '../../program/builder.js';
import type { LinearUpdate } from '../../program/record.js';
import type { NoiseLevel, SolverForm } from './noise-level.js';
import { phi } from './phi.js';

/**
 * A step between two noise levels for the exact linear part of the probability flow (Lu et al. 2022): with the prediction
 * m constant x_e = `scale` x_c + `first` m, and with its derivatives m', m'' by half log-SNR at the start
 * x_e = scale x_c + first m + slope (h m') + curvature (h^2 m'').
 */
export interface ExponentialStep {
  /** Growth of half the log-SNR, positive towards the data. */
  h: number;
  /** h for the noise form, -h for the data form. */
  z: number;
  /** sigma_e for the noise form, alpha_e for the data form. */
  weight: number;
  scale: number;
  first: number;
  slope: number;
  curvature: number;
}

export function exponentialStep(from: NoiseLevel, to: NoiseLevel, form: SolverForm): ExponentialStep {
  const h = to.logSnr - from.logSnr;
  const z = form === 'noise' ? h : -h;
  const weight = form === 'noise' ? to.sigma : to.alpha;
  return {
    h,
    z,
    weight,
    scale: form === 'noise' ? to.alpha / from.alpha : to.sigma / from.sigma,
    first: -weight * Math.expm1(z),
    slope: -weight * (phi(1, z) - 1),
    curvature: -weight * (phi(2, z) - 0.5),
  };
}

/** A linear update of `x` and of past predictions given as pairs of slot and coefficient; a slot may occur again. */
export function combine(scale: number, terms: readonly (readonly [slot: number, coefficient: number])[]): LinearUpdate {
  const history = new Array<number>(Math.max(...terms.map(([slot]) => slot)) + 1).fill(0);
  for (const [slot, coefficient] of terms) history[slot] = (history[slot] ?? 0) + coefficient;
  return linear({ x: scale, history });
}
