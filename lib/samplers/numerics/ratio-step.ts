import type { LinearUpdate } from '../../program/record.js';
import { noiseRatio, type Amplitudes } from '../../schedule/noise-level.js';
import { combine } from './exponential-step.js';

/** d(x / alpha) = eps d(sigma / alpha): the change of the state for a noise prediction of 1, and what the state becomes. */
export function ratioStep(from: Amplitudes, to: Amplitudes): { scale: number; change: number } {
  return { scale: to.alpha / from.alpha, change: to.alpha * (noiseRatio(to) - noiseRatio(from)) };
}

/** A step of the probability flow in sigma / alpha by a combination of the noise predictions in the slots, whose weights add up to 1. */
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
