import type { NoiseSchedule } from './noise-schedule.js';
import type { Transition } from './trajectory.js';

/**
 * One jump of the generalised forward process q(x_s | x_t, x_0) with variance l^2 = eta^2 V_{s|t}: eta = 1 is DDPM's
 * Markov process, eta = 0 is DDIM (Song et al. 2020). The mean is, in two equal forms,
 * `sensitivity * x0 + stateScale * x_t` and `alphaS * x0 + direction * eps`.
 */
export interface Jump extends Transition {
  /** sqrt(A_t), sqrt(B_t). */
  alphaT: number;
  /** sqrt(B_t), the deviation of the noise at its start. */
  sigmaT: number;
  /** sqrt(A_s), sqrt(B_s). */
  alphaS: number;
  /** sqrt(B_s), the deviation of the noise at the end of the jump. */
  sigmaS: number;
  /** B_{t|s}, the variance of q(x_t | x_s). */
  forwardVariance: number;
  /** V_{s|t}, the variance of q(x_s | x_t, x_0) of the Markov process; 0 at the data. */
  posteriorVariance: number;
  /** l^2 = eta^2 V_{s|t}. */
  baseVariance: number;
  /** gamma: how strongly the mean depends on x_0; 1 at the data. */
  sensitivity: number;
  /** Coefficient of the state in the mean, `sensitivity x0 + stateScale x_t`. */
  stateScale: number;
  /** Coefficient of the noise prediction in the mean, `alphaS x0 + direction eps`. */
  direction: number;
  /** Width of the interval of the data, which limits what x_0 can be. */
  dataWidth: number;
}

/** The coefficients of a jump, in forms that do not subtract nearly equal numbers. */
export function jump(schedule: NoiseSchedule, { s, t }: Transition, eta: number): Jump {
  const alphaT = Math.sqrt(schedule.alphaBar(t));
  const sigmaT = Math.sqrt(schedule.betaBar(t));
  const forwardVariance = schedule.betaBarBetween(s, t);
  const base = { s, t, alphaT, sigmaT, forwardVariance, dataWidth: schedule.dataWidth };
  if (s === 0) {
    // The log-SNR of the data is infinite: the jump ends in the data prediction itself.
    const ends = { alphaS: 1, sigmaS: 0, posteriorVariance: 0, baseVariance: 0 };
    return { ...base, ...ends, sensitivity: 1, stateScale: 0, direction: 0 };
  }
  const alphaS = Math.sqrt(schedule.alphaBar(s));
  const sigmaS = Math.sqrt(schedule.betaBar(s));
  const step = schedule.logSnr(s) - schedule.logSnr(t);
  const shrink = Math.expm1(-2 * step);
  const posteriorVariance = -sigmaS * sigmaS * shrink;
  const remaining = eta === 1 ? -step : 0.5 * Math.log1p(eta * eta * shrink);
  return {
    ...base,
    alphaS,
    sigmaS,
    posteriorVariance,
    baseVariance: eta * eta * posteriorVariance,
    sensitivity: -alphaS * Math.expm1(remaining - step),
    stateScale: (sigmaS / sigmaT) * Math.exp(remaining),
    direction: sigmaS * Math.exp(remaining),
  };
}
