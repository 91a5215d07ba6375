import { at } from '../../base/arrays.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { evaluation } from './evaluation.js';
import { ringUpdate } from './exponential-step.js';
import { solverLevels, solverProgram, type SolverPlan } from './solver-plan.js';

/** How the predictions of past levels count in a step. */
export interface AdamsBashforth {
  /** Predictions that are kept. */
  order: number;
  /** The order of step i = 1, 2, …: as many past levels count. */
  orderOfStep: (i: number) => number;
  /** Integrals over sigma / alpha of the polynomials through past levels, newest first, over the step to the next. */
  integrals: (past: readonly NoiseLevel[], to: NoiseLevel) => number[];
}

/** Adams-Bashforth steps of the probability flow d(x / alpha) = eps d(sigma / alpha), one evaluation each. */
export function adamsBashforthProgram(
  plan: SolverPlan,
  { order, orderOfStep, integrals }: AdamsBashforth,
): StepProgram {
  const levels = solverLevels(plan, plan.evaluations);
  const records = levels.slice(1).map((to, i) => {
    const from = at(levels, i);
    const past = Array.from({ length: orderOfStep(i + 1) }, (_, back) => at(levels, i - back));
    const weights = integrals(past, to).map((integral) => to.alpha * integral);
    return stepRecord({
      ...evaluation(plan, from, 'noise', i % order),
      x: ringUpdate(to.alpha / from.alpha, weights, i, order),
    });
  });
  return solverProgram(plan, records, at(levels, levels.length - 1));
}
