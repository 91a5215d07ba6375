import { at } from '../../base/arrays.js';
import { linear, stepRecord } from '../../program/builder.js';
import type { LinearUpdate } from '../../program/record.js';
import { disableCorrector, lowerOrderFinal, solverOptions } from '../common-options.js';
import { evaluation } from '../numerics/evaluation.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { exponentialStep, phi, ringUpdate, type ExponentialStep } from '../numerics/flow-steps.js';
import { solverLevels, solverPlan, solverProgram, type SolverPlan } from '../numerics/solver-plan.js';
import { choiceOption, integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, solverFacts } from '../sampler.js';
import { orderOfStep } from './multistep.js';

/** Solves a small dense system by elimination with row exchanges; consumes its arguments. */
function solve(matrix: number[][], right: number[]): number[] {
  const size = right.length;
  const rows = matrix.map((row, i) => [...row, at(right, i)]);
  for (let column = 0; column < size; ++column) {
    const pivot = rows
      .slice(column)
      .reduce((best, row) => (Math.abs(at(row, column)) > Math.abs(at(best, column)) ? row : best));
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(column, 0, pivot);
    for (const row of rows.slice(column + 1)) {
      const factor = at(row, column) / at(pivot, column);
      for (let j = column; j <= size; ++j) row[j] = at(row, j) - factor * at(pivot, j);
    }
  }
  const solution = new Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; --i) {
    const row = at(rows, i);
    const known = solution.reduce((sum, value, j) => (j > i ? sum + at(row, j) * value : sum), 0);
    solution[i] = (at(row, size) - known) / at(row, i);
  }
  return solution;
}

/** Computes a! z phi_{a+1}(z) / B for a = 1..count, the moments that the weights of the differences have to meet. */
function moments(count: number, z: number, base: number): number[] {
  let factorial = 1;
  return Array.from({ length: count }, (_, i) => {
    factorial *= i + 1;
    return (factorial * z * phi(i + 2, z)) / base;
  });
}

/** Computes weights of the differences D_j = (m_j - m_c) / r_j at the ratios r_j. */
function differenceWeights(ratios: readonly number[], z: number, base: number): number[] {
  // The authors take the limit for small steps if there is one difference.
  if (ratios.length <= 1) return ratios.map(() => 0.5);
  const powers = ratios.map((_, a) => ratios.map((ratio) => ratio ** a));
  return solve(powers, moments(ratios.length, z, base));
}

interface UniPc {
  plan: SolverPlan;
  levels: readonly NoiseLevel[];
  order: number;
  variant: 'bh1' | 'bh2';
  lowerOrderFinal: SamplerOptions['lowerOrderFinal'];
  /** Indices of steps whose result is not corrected. */
  disabled: readonly number[];
}

function baseOf(variant: UniPc['variant'], step: ExponentialStep): number {
  return variant === 'bh1' ? step.z : Math.expm1(step.z);
}

/** Computes weights of m_{i+1} (only for the corrector), m_i, m_{i-1}, … in the step from level i to i + 1. */
function stepWeights(
  { levels, plan, variant }: UniPc,
  i: number,
  order: number,
  corrects: boolean,
): { scale: number; next: number; weights: number[] } {
  const start = at(levels, i);
  const step = exponentialStep(start, at(levels, i + 1), plan.form);
  const base = baseOf(variant, step);
  const past = Array.from({ length: order - 1 }, (_, j) => (at(levels, i - j - 1).logSnr - start.logSnr) / step.h);
  const ratios = corrects ? [...past, 1] : past;
  const rho = differenceWeights(ratios, step.z, base);
  const weights = [step.first, ...past.map(() => 0)];
  ratios.forEach((ratio, j) => {
    const share = (-step.weight * base * at(rho, j)) / ratio;
    weights[0] = at(weights, 0) - share;
    if (j < past.length) weights[j + 1] = at(weights, j + 1) + share;
  });
  return { scale: step.scale, next: corrects ? -step.weight * base * at(rho, rho.length - 1) : 0, weights };
}

function stepOrder({ plan, order, lowerOrderFinal }: UniPc, i: number): number {
  return orderOfStep(i + 1, plan, order, lowerOrderFinal, Infinity);
}

/** Makes the update from the state at level i - 1 to that at i, once the prediction at i is known. */
function correction(own: UniPc, i: number, ring: number): LinearUpdate {
  if (i === 0) return linear({ x: 1 });
  if (own.disabled.includes(i - 1)) return linear({ y: 1 });
  const { scale, next, weights } = stepWeights(own, i - 1, stepOrder(own, i - 1), true);
  return ringUpdate(scale, [next, ...weights], i, ring);
}

function prediction(own: UniPc, i: number, ring: number): LinearUpdate {
  const { scale, weights } = stepWeights(own, i, stepOrder(own, i), false);
  return ringUpdate(scale, weights, i, ring);
}

/** Composes two updates: `first`, then `second` on its result. */
function composed(first: LinearUpdate, second: LinearUpdate): LinearUpdate {
  const length = Math.max(first.history.length, second.history.length);
  return linear({
    x: second.x * first.x,
    y: second.x * first.y,
    history: Array.from({ length }, (_, j) => second.x * (first.history[j] ?? 0) + (second.history[j] ?? 0)),
  });
}

/**
 * UniPC (Zhao et al. 2023) of `order` 1 to 4, 2 by default: a predictor and a corrector that share one evaluation a step.
 * `variant` is the function B(h), `form` the extrapolated prediction; by default evenly in time, with lower orders in the
 * last steps unless `lowerOrderFinal` is false.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const unipc = defineSampler(
  solverFacts('unipc', 'UniPC (Zhao et al. 2023)', {
    ...solverOptions,
    order: integerOption('order, default 2', 1, 4),
    variant: choiceOption('B(h), default bh2', ['bh1', 'bh2']),
    form: choiceOption('what is extrapolated, default data', ['data', 'noise']),
    lowerOrderFinal,
    disableCorrector,
  }),
  (schedule, options) => {
    const { form = 'data', order = 2, variant = 'bh2', lowerOrderFinal: lowers } = options;
    const { disableCorrector: disabled = [] } = options;
    const plan = solverPlan(schedule, options, { form, trajectory: 'uniform' });
    const levels = solverLevels(plan, plan.evaluations);
    const own: UniPc = { plan, levels, order, variant, lowerOrderFinal: lowers, disabled };
    const ring = order + 1;
    const records = levels.slice(0, plan.evaluations).map((level, i) => {
      const corrected = correction(own, i, ring);
      const predicted = prediction(own, i, ring);
      const isLast = i === plan.evaluations - 1;
      return stepRecord({
        ...evaluation(plan, level, form, i % ring),
        read: i === 0 ? 'x' : 'y',
        x: isLast ? composed(corrected, predicted) : i === 0 ? null : corrected,
        y: isLast ? null : predicted,
      });
    });
    return solverProgram(plan, records, at(levels, levels.length - 1));
  },
);
