import { at } from '../../base/arrays.js';
import { noiseRatio, type NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { lowerOrderFinal, solverOptions } from '../common-options.js';
import { adamsBashforthProgram, lagrangeIntegrals } from '../numerics/adams-bashforth.js';
import { solverPlan } from '../numerics/solver-plan.js';
import { choiceOption, integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, solverFacts } from '../sampler.js';
import { orderOfStep } from './multistep.js';

/** Variable of polynomials, from a noise level. */
type Variable = (level: { time: number; logSnr: number }) => number;

/** Chooses the variable of the polynomials: the time, or ln(sigma / alpha). */
function variableOf(basis: SamplerOptions['basis'] = 'time'): Variable {
  return basis === 'time' ? ({ time }) => time : ({ logSnr }) => -logSnr;
}

/** Integrates over ratio = sigma / alpha from one level to the next, by points in the log-SNR. */
function integrals(schedule: NoiseSchedule, past: readonly NoiseLevel[], to: NoiseLevel, variable: Variable): number[] {
  const from = at(past, 0);
  if (to.sigma === 0) return [-noiseRatio(from)];
  const middle = (from.logSnr + to.logSnr) / 2;
  const half = (to.logSnr - from.logSnr) / 2;
  return lagrangeIntegrals(past.map(variable), (node) => {
    const logSnr = middle + half * node;
    // Relation d ratio = -ratio d logSnr.
    return {
      point: variable({ time: schedule.timeOfLogSnr(logSnr), logSnr }),
      density: -half * Math.exp(-logSnr),
    };
  });
}

/**
 * DEIS (Zhang & Chen 2023): exponential Adams-Bashforth steps of `order` 1 to 4, 3 by default, in the time (tAB) or, with
 * `basis: 'log-ratio'`, in ln(sigma / alpha). One evaluation a step, by default evenly in time, lower orders in the first
 * steps.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
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
    return adamsBashforthProgram(plan, {
      order,
      orderOfStep: (i) => orderOfStep(i, plan, order, options.lowerOrderFinal ?? false),
      integrals: (past, to) => integrals(plan.schedule, past, to, variable),
    });
  },
);
