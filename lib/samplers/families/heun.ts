import { at } from '../../base/arrays.js';
import { stepProgram, stepRecord } from '../../program/builder.js';
import type { StepRecord } from '../../program/record.js';
import { solverOptions } from '../common-options.js';
import { combine } from '../numerics/exponential-step.js';
import { evaluation, type NoiseLevel } from '../numerics/noise-level.js';
import { solverFacts } from '../numerics/solver-facts.js';
import { solverLevels, solverPlan, type SolverPlan } from '../numerics/solver-plan.js';
import { defineSampler } from '../sampler.js';

/** d(x / alpha) = eps d(sigma / alpha), from a level to the data, by Euler's method: the data prediction. */
function lastRecord(plan: SolverPlan, from: NoiseLevel): StepRecord {
  return stepRecord({
    ...evaluation(plan, from, 'noise', 0),
    x: combine(1 / from.alpha, [[0, -from.sigma / from.alpha]]),
  });
}

/** Two records: Euler's step into `y`, and the mean of both slopes. */
function heunRecords(plan: SolverPlan, from: NoiseLevel, to: NoiseLevel): StepRecord[] {
  const change = to.alpha * (to.sigma / to.alpha - from.sigma / from.alpha);
  const scale = to.alpha / from.alpha;
  return [
    stepRecord({ ...evaluation(plan, from, 'noise', 0), y: combine(scale, [[0, change]]) }),
    stepRecord({
      ...evaluation(plan, to, 'noise', 1),
      read: 'y',
      x: combine(scale, [
        [0, 0.5 * change],
        [1, 0.5 * change],
      ]),
    }),
  ];
}

/** It ends at the data by itself, and its levels are not evaluations. */
const { timesteps: _, denoiseToZero: __, ...heunOptions } = solverOptions;

/**
 * Heun's method on the probability flow in sigma / alpha, without churn (Karras et al. 2022, algorithm 1), down to the data.
 * M levels take 2 M - 1 evaluations: an even number of `steps` leaves one out. By default Karras' spacing.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const heun = defineSampler(
  solverFacts('heun', "Heun's method on the probability flow (Karras et al. 2022)", heunOptions),
  (schedule, options) => {
    const plan = solverPlan(schedule, options, { form: 'noise', trajectory: 'karras' });
    const count = Math.floor((plan.evaluations + 1) / 2);
    const levels = solverLevels(plan, count - 1);
    const records = levels.slice(1).flatMap((to, i) => heunRecords(plan, at(levels, i), to));
    return stepProgram([...records, lastRecord(plan, at(levels, count - 1))], {
      initialScale: plan.schedule.initialScale(plan.start),
    });
  },
);
