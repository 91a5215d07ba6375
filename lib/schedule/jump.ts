import { kinds, requireKind } from '../base/option-kinds.js';
import { dataLevel, levelOf, noiseLevel, type Amplitudes, type NoiseLevel } from './noise-level.js';
import { requireSchedule, type NoiseSchedule } from './noise-schedule.js';
import type { Transition } from './trajectory.js';

/**
 * Jump of the generalised forward process q(x_s | x_t, x_0) with variance l^2 = eta^2 V_{s|t}: eta = 1 is DDPM's Markov
 * process, eta = 0 is DDIM (Song et al. 2020). The mean is, in two equal forms, `sensitivity * x0 + stateScale * x_t`
 * and `alphaS * x0 + direction * eps`.
 */
export interface Jump extends Transition {
  /** Number that enters the network's time embedding at the start of the jump. */
  networkTime: number;
  /** Amplitude sqrt(A_t) of the signal at the start of the jump. */
  alphaT: number;
  /** Deviation sqrt(B_t) of the noise at the start of the jump. */
  sigmaT: number;
  /** Amplitude sqrt(A_s) of the signal at the end of the jump. */
  alphaS: number;
  /** Deviation sqrt(B_s) of the noise at the end of the jump. */
  sigmaS: number;
  /** Variance B_{t|s} of q(x_t | x_s). */
  forwardVariance: number;
  /** Variance V_{s|t} of q(x_s | x_t, x_0) of the Markov process; 0 at the data. */
  posteriorVariance: number;
  /** Variance l^2 = eta^2 V_{s|t}. */
  baseVariance: number;
  /** Coefficient gamma of x_0 in the mean, `sensitivity x0 + stateScale x_t`; 1 at the data. */
  sensitivity: number;
  /** Coefficient of the state in the mean, `sensitivity x0 + stateScale x_t`. */
  stateScale: number;
  /** Coefficient of the noise prediction in the mean, `alphaS x0 + direction eps`. */
  direction: number;
  /** Width of the interval of the data, which limits x_0. */
  dataWidth: number;
}

/** Computes the coefficients of a jump, in forms that do not subtract nearly equal numbers. */
function jumpBetween(from: NoiseLevel, to: NoiseLevel, eta: number, forwardVariance: number): Omit<Jump, 'dataWidth'> {
  const [alphaT, sigmaT] = [from.alpha, from.sigma];
  const base = { s: to.time, t: from.time, networkTime: from.networkTime, alphaT, sigmaT, forwardVariance };
  const { alpha: alphaS, sigma: sigmaS } = to;
  if (sigmaS === 0) {
    // Infinite log-SNR of the data: the jump ends in the data prediction itself.
    const ends = { alphaS, sigmaS, posteriorVariance: 0, baseVariance: 0 };
    return { ...base, ...ends, sensitivity: alphaS, stateScale: 0, direction: 0 };
  }
  const step = to.logSnr - from.logSnr;
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

/**
 * Computes the jump between two times of a schedule; s = 0 is the data.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a wrong schedule, pair of times or number.
 */
export function jump(schedule: NoiseSchedule, transition: Transition, eta: number): Jump {
  requireSchedule(schedule);
  requireKind('the transition', transition, kinds.object);
  requireKind('eta', eta, kinds.number);
  const { s, t } = transition;
  const to = s === 0 ? dataLevel : noiseLevel(schedule, s);
  const forwardVariance = schedule.betaBarBetween(s, t);
  return { ...jumpBetween(noiseLevel(schedule, t), to, eta, forwardVariance), dataWidth: schedule.dataWidth };
}

/** Computes the jump from one level to other amplitudes. */
export function levelJump(schedule: NoiseSchedule, from: NoiseLevel, to: Amplitudes, eta: number): Jump {
  const kept = from.alpha / to.alpha;
  const forwardVariance = from.sigma * from.sigma - (kept * to.sigma) ** 2;
  return { ...jumpBetween(from, levelOf(schedule, to), eta, forwardVariance), dataWidth: schedule.dataWidth };
}
