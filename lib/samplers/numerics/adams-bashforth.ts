import { at } from '../../base/arrays.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { evaluation } from './evaluation.js';
import { ringUpdate } from './flow-steps.js';
import { solverLevels, solverProgram, type SolverPlan } from './solver-plan.js';

/** Computes nodes and weights of Gauss-Legendre quadrature on [-1, 1], by Newton's method on Legendre polynomials. */
function gaussLegendre(count: number): { node: number; weight: number }[] {
  return Array.from({ length: count }, (_, i) => {
    let node = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 0;
    for (let iteration = 0; iteration < 20; ++iteration) {
      let [previous, value] = [1, node];
      for (let degree = 2; degree <= count; ++degree) {
        [previous, value] = [value, ((2 * degree - 1) * node * value - (degree - 1) * previous) / degree];
      }
      slope = (count * (node * value - previous)) / (node * node - 1);
      node -= value / slope;
    }
    return { node, weight: 2 / ((1 - node * node) * slope * slope) };
  });
}

const quadrature = gaussLegendre(40);

/** Evaluates the Lagrange polynomial of node j at a point. */
function lagrange(nodes: readonly number[], j: number, point: number): number {
  const own = at(nodes, j);
  let product = 1;
  // A loop, as this runs a hundred times and more for each step.
  for (let k = 0; k < nodes.length; ++k) {
    if (k !== j) product = (product * (point - at(nodes, k))) / (own - at(nodes, k));
  }
  return product;
}

/**
 * Integrates the Lagrange polynomials through `nodes` over a step.
 *
 * @param place - Maps a point in [-1, 1] of the step to the argument of the polynomials and to the rate of the variable of
 * integration there.
 */
export function lagrangeIntegrals(
  nodes: readonly number[],
  place: (node: number) => { point: number; density: number },
): number[] {
  // A place is looked up once for all polynomials: finding it is most of the work.
  const places = quadrature.map(({ node, weight }) => ({ ...place(node), weight }));
  return nodes.map((_, j) => {
    let sum = 0;
    for (const { point, density, weight } of places) sum += weight * density * lagrange(nodes, j, point);
    return sum;
  });
}

/** Weights of past levels' predictions in a step. */
export interface AdamsBashforth {
  /** Number of kept predictions. */
  order: number;
  /** Order of step i = 1, 2, …: the number of past levels in it. */
  orderOfStep: (i: number) => number;
  /** Integrals over sigma / alpha of the polynomials through past levels, newest first, over the step to the next. */
  integrals: (past: readonly NoiseLevel[], to: NoiseLevel) => number[];
}

/** Makes Adams-Bashforth steps of the probability flow d(x / alpha) = eps d(sigma / alpha), one evaluation each. */
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
