import type { LinearUpdate } from '../../program/record.js';
import { combine, type ExponentialStep } from './exponential-step.js';

export type SolverType = 'midpoint' | 'taylor';

/** The last update of a second-order step from m[0] at its start and m[1] at a fraction of it. */
export function secondOrder(step: ExponentialStep, fraction: number, type: SolverType): LinearUpdate {
  const weight = (type === 'midpoint' ? 0.5 * step.first : step.slope) / fraction;
  return combine(step.scale, [
    [0, step.first - weight],
    [1, weight],
  ]);
}

/** The second stage of a third-order step, from m[0] and m[1]. */
export function thirdOrderStage(stage: ExponentialStep, [first, second]: readonly [number, number]): LinearUpdate {
  const weight = (stage.slope * second) / first;
  return combine(stage.scale, [
    [0, stage.first - weight],
    [1, weight],
  ]);
}

/** The last update of a third-order step from m[0], m[1] and m[2]. */
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
