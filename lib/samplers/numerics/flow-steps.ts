import { linear } from '../../program/builder.js';
import type { LinearUpdate } from '../../program/record.js';
import { noiseRatio, type Amplitudes, type NoiseLevel } from '../../schedule/noise-level.js';
import type { SolverForm } from './evaluation.js';

/** Radius below which the recursion would lose digits to differences of nearly equal numbers. */
const seriesRadius = 0.5;

/** Sums z^j / (j + order)! over j >= 0. */
function series(order: number, z: number): number {
  let term = 1;
  for (let i = 2; i <= order; ++i) term /= i;
  let sum = 0;
  for (let i = order + 1; i <= order + 12; ++i) {
    sum += term;
    term *= z / i;
  }
  return sum;
}

/**
 * Computes functions of exponential integrators: phi_0(z) = e^z, phi_1(z) = (e^z - 1) / z, phi_{k+1}(z) = (phi_k(z) - 1/k!) /
 * z.
 *
 * @param order - Order k >= 0.
 */
export function phi(order: number, z: number): number {
  if (order === 0) return Math.exp(z);
  if (Math.abs(z) < seriesRadius) return series(order, z);
  if (order === 1) return Math.expm1(z) / z;
  let factorial = 1;
  for (let i = 2; i < order; ++i) factorial *= i;
  return (phi(order - 1, z) - 1 / factorial) / z;
}

/**
 * A step between two noise levels for the exact linear part of the probability flow (Lu et al. 2022): with the prediction
 * m constant x_e = `scale` x_c + `first` m, and with its derivatives m', m'' by half log-SNR at the start
 * x_e = scale x_c + first m + slope (h m') + curvature (h^2 m'').
 */
export interface ExponentialStep {
  /** Growth h of half the log-SNR, positive towards the data. */
  h: number;
  /** Argument z: h for the noise form, -h for the data form. */
  z: number;
  /** Weight: sigma_e for the noise form, alpha_e for the data form. */
  weight: number;
  scale: number;
  first: number;
  slope: number;
  curvature: number;
}

/** Makes the step to the data, which is of first order: the data prediction. */
function stepToData(from: NoiseLevel, { alpha }: NoiseLevel, form: SolverForm): ExponentialStep {
  const ends =
    form === 'noise'
      ? { weight: 0, scale: alpha / from.alpha, first: (-alpha * from.sigma) / from.alpha }
      : { weight: alpha, scale: 0, first: alpha };
  return { h: Infinity, z: form === 'noise' ? Infinity : -Infinity, ...ends, slope: 0, curvature: 0 };
}

export function exponentialStep(from: NoiseLevel, to: NoiseLevel, form: SolverForm): ExponentialStep {
  if (to.sigma === 0) return stepToData(from, to, form);
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

/** Step of the reverse SDE, and the deviation of the noise that it adds. */
export interface StochasticStep extends ExponentialStep {
  deviation: number;
}

/** Makes the step of {@link exponentialStep} for the reverse SDE (Lu et al. 2022b, appendix). */
function stochasticStep(from: NoiseLevel, to: NoiseLevel, form: SolverForm): StochasticStep {
  if (to.sigma === 0) return { ...stepToData(from, to, form), deviation: 0 };
  const flow = exponentialStep(from, to, form);
  const { h } = flow;
  if (form === 'noise') {
    const [first, slope, curvature] = [2 * flow.first, 2 * flow.slope, 2 * flow.curvature];
    return { ...flow, first, slope, curvature, deviation: to.sigma * Math.sqrt(Math.expm1(2 * h)) };
  }
  const kept = -Math.expm1(-2 * h);
  return {
    ...flow,
    scale: (to.sigma / from.sigma) * Math.exp(-h),
    first: to.alpha * kept,
    slope: to.alpha * (1 - kept / (2 * h)),
    curvature: to.alpha * ((kept - 2 * h) / (4 * h * h) + 0.5),
    deviation: to.sigma * Math.sqrt(kept),
  };
}

/** Noise of a step: none on the probability flow; `published`: the reverse SDE with the curvature of published code. */
export type StepNoise = 'none' | 'exact' | 'published';

/** Makes a step of the probability flow, or of the reverse SDE with its noise. */
export function solverStep(from: NoiseLevel, to: NoiseLevel, form: SolverForm, noise: StepNoise): StochasticStep {
  if (noise === 'none') return { ...exponentialStep(from, to, form), deviation: 0 };
  const step = stochasticStep(from, to, form);
  // The published code has -1/2 for +1/2 there.
  return noise === 'published' ? { ...step, curvature: step.curvature - to.alpha } : step;
}

/** Combines `x` and past predictions given as pairs of slot and coefficient; a slot may occur again. */
export function combine(scale: number, terms: readonly (readonly [slot: number, coefficient: number])[]): LinearUpdate {
  return linear({ x: scale, history: collected(terms) });
}

/** Weighs the predictions of evaluation i and of those before it, newest first, in a ring of `size` slots. */
export function ringUpdate(scale: number, weights: readonly number[], i: number, size: number): LinearUpdate {
  return combine(
    scale,
    weights.map((weight, back) => [(i - back) % size, weight] as const),
  );
}

/** Collects coefficients by slot. */
export function collected(terms: readonly (readonly [slot: number, coefficient: number])[]): number[] {
  const history = new Array<number>(Math.max(0, ...terms.map(([slot]) => slot)) + 1).fill(0);
  for (const [slot, coefficient] of terms) history[slot] = (history[slot] ?? 0) + coefficient;
  return history;
}

/** Computes, from d(x / alpha) = eps d(sigma / alpha), the state's scale and its change per noise prediction. */
export function ratioStep(from: Amplitudes, to: Amplitudes): { scale: number; change: number } {
  return { scale: to.alpha / from.alpha, change: to.alpha * (noiseRatio(to) - noiseRatio(from)) };
}

/** Makes a step of the probability flow in sigma / alpha from slots' noise predictions with weights of sum 1. */
export function ratioUpdate(
  from: Amplitudes,
  to: Amplitudes,
  weights: readonly (readonly [slot: number, weight: number])[],
): LinearUpdate {
  const { scale, change } = ratioStep(from, to);
  return combine(
    scale,
    weights.map(([slot, weight]) => [slot, weight * change]),
  );
}

export type SolverType = 'midpoint' | 'taylor';

/** Makes the last update of a second-order step from m[0] at its start and m[1] at a fraction of it. */
export function secondOrder(step: ExponentialStep, fraction: number, type: SolverType): LinearUpdate {
  const weight = (type === 'midpoint' ? 0.5 * step.first : step.slope) / fraction;
  return combine(step.scale, [
    [0, step.first - weight],
    [1, weight],
  ]);
}

/** Makes the second stage of a third-order step, from m[0] and m[1]. */
export function thirdOrderStage(stage: ExponentialStep, [first, second]: readonly [number, number]): LinearUpdate {
  const weight = (stage.slope * second) / first;
  return combine(stage.scale, [
    [0, stage.first - weight],
    [1, weight],
  ]);
}

/** Makes the last update of a third-order step from m[0], m[1] and m[2]. */
export function thirdOrder(
  step: ExponentialStep,
  [first, second]: readonly [number, number],
  type: SolverType,
): LinearUpdate {
  const { slope, curvature } = step;
  const spread = second - first;
  const [one, two] =
    type === 'midpoint'
      ? [0, slope / second]
      : [(slope * second - 2 * curvature) / spread / first, (2 * curvature - slope * first) / spread / second];
  return combine(step.scale, [
    [0, step.first - one - two],
    [1, one],
    [2, two],
  ]);
}
