import { at } from '../../base/arrays.js';
import { stepRecord } from '../../program/builder.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { lowerOrderFinal, solverOptions } from '../common-options.js';
import { gaussLegendre } from '../numerics/gauss-legendre.js';
import { evaluation, type NoiseLevel } from '../numerics/noise-level.js';
import { solverFacts } from '../numerics/solver-facts.js';
import { solverLevels, solverPlan, solverProgram } from '../numerics/solver-plan.js';
import { choiceOption, integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler } from '../sampler.js';
import { orderOfStep, ringUpdate } from './multistep.js';

const quadrature = gaussLegendre(40);

/** The variable of the polynomials: the time, or ln(sigma / alpha). */
type Variable = (level: { time: number; logSnr: number }) => number;

function variableOf(basis: SamplerOptions['basis'] = 'time'): Variable {
  return basis === 'time' ? ({ time }) => time : ({ logSnr }) => -logSnr;
}

/** The Lagrange polynomial of node j at a point. */
function lagrange(nodes: readonly number[], j: number, point: number): number {
  const own = at(nodes, j);
  return nodes.reduce((product, node, k) => (k === j ? product : (product * (point - node)) / (own - node)), 1);
}

/** Integrals of the Lagrange polynomials through `past`, newest first, over ratio = sigma / alpha from one level to the next. */
function integrals(schedule: NoiseSchedule, past: readonly NoiseLevel[], to: NoiseLevel, variable: Variable): number[] {
  const [from] = past;
  const nodes = past.map(variable);
  const middle = (at(past, 0).logSnr + to.logSnr) / 2;
  const half = (to.logSnr - (from?.logSnr ?? 0)) / 2;
  return nodes.map((_, j) =>
    quadrature.reduce((sum, { node, weight }) => {
      const logSnr = middle + half * node;
      const point = variable({ time: schedule.timeOfLogSnr(logSnr), logSnr });
      // d ratio = -ratio d logSnr
      return sum - weight * half * Math.exp(-logSnr) * lagrange(nodes, j, point);
    }, 0),
  );
}

/**
 * DEIS (Zhang & Chen 2023): exponential Adams-Bashforth steps of `order` 1 to 4, 3 by default, in the time (tAB) or, with
 * `basis: 'log-ratio'`, in ln(sigma / alpha). One evaluation a step, by default evenly in time, lower orders in the first steps.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const deis = defineSampler(
  solverFacts('deis', 'DEIS, exponential Adams-Bashforth steps (Zhang & Chen 2023)', {
    ...solverOptions,
    order: integerOption('order, default 3', 1, 4),
    basis: choiceOption('variable of the polynomials, default time', ['time', 'log-ratio']),
    lowerOrderFinal,
  }),
  (schedule, options) => {
    const plan = solverPlan(schedule, options, { form: 'noise', trajectory: 'uniform' });
    const { order = 3 } = options;
    const variable = variableOf(options.basis);
    const levels = solverLevels(plan, plan.evaluations);
    const records = levels.slice(1).map((to, i) => {
      const from = at(levels, i);
      const reached = orderOfStep(i + 1, plan.evaluations, order, options.lowerOrderFinal ?? false);
      const past = Array.from({ length: reached }, (_, back) => at(levels, i - back));
      const weights = integrals(plan.schedule, past, to, variable).map((integral) => to.alpha * integral);
      return stepRecord({
        ...evaluation(plan, from, 'noise', i % order),
        x: ringUpdate(to.alpha / from.alpha, weights, i, order),
      });
    });
    return solverProgram(plan, records, at(levels, levels.length - 1));
  },
);
