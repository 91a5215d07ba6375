import { at } from '../../base/arrays.js';
import { stepProgram, stepRecord } from '../../program/builder.js';
import type { StepRecord } from '../../program/record.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { churnOptions, dataSolverOptions } from '../common-options.js';
import { churnedLevels, openingRecords, withChurn, type ChurnedLevel } from '../numerics/churn.js';
import { evaluation } from '../numerics/evaluation.js';
import { ratioUpdate } from '../numerics/flow-steps.js';
import { ofPairs, solverLevels, solverPlan, type SolverPlan } from '../numerics/solver-plan.js';
import { defineSampler, solverFacts } from '../sampler.js';

/** Makes two records: Euler's step into `y`, and the mean of both slopes, with the noise of the next level. */
function heunRecords(plan: SolverPlan, from: NoiseLevel, to: NoiseLevel, next: ChurnedLevel): StepRecord[] {
  const both = ratioUpdate(from, to, [
    [0, 0.5],
    [1, 0.5],
  ]);
  return [
    stepRecord({ ...evaluation(plan, from, 'noise', 0), y: ratioUpdate(from, to, [[0, 1]]) }),
    stepRecord({ ...evaluation(plan, to, 'noise', 1), read: 'y', ...withChurn(both, next) }),
  ];
}

/**
 * Heun's method on the probability flow in sigma / alpha (Karras et al. 2022, algorithms 1 and, with `sChurn`, 2), down to
 * the data. M levels take 2 M - 1 evaluations: an even number of `steps` leaves one out. By default Karras' spacing.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const heun = defineSampler(
  solverFacts('heun', "Heun's method on the probability flow (Karras et al. 2022)", {
    ...dataSolverOptions,
    ...churnOptions,
  }),
  (schedule, options) => {
    const plan = solverPlan(schedule, ofPairs(options), { form: 'noise', trajectory: 'karras', toData: true });
    const levels = solverLevels(plan, plan.evaluations);
    const churned = churnedLevels(plan, levels.slice(0, -1), options);
    const records = churned.flatMap(({ level }, i) => {
      const to = at(levels, i + 1);
      const next = churned[i + 1];
      return next === undefined ? [lastRecord(plan, level, to)] : heunRecords(plan, level, to, next);
    });
    return stepProgram([...openingRecords(at(churned, 0)), ...records], { initialScale: plan.initialScale });
  },
);

/** Makes Euler's step to the data. */
function lastRecord(plan: SolverPlan, from: NoiseLevel, to: NoiseLevel): StepRecord {
  return stepRecord({ ...evaluation(plan, from, 'noise', 0), x: ratioUpdate(from, to, [[0, 1]]) });
}
