import { at } from '../../base/arrays.js';
import { stepProgram, stepRecord } from '../../program/builder.js';
import { churnOptions, dataSolverOptions } from '../common-options.js';
import { churnedLevels, openingRecords, withChurn } from '../numerics/churn.js';
import { evaluation } from '../numerics/evaluation.js';
import { ratioUpdate } from '../numerics/flow-steps.js';
import { solverLevels, solverPlan } from '../numerics/solver-plan.js';
import { defineSampler, solverFacts } from '../sampler.js';

/**
 * Euler's method on the probability flow in sigma / alpha, with noise that is added and removed again by `sChurn` (Karras et
 * al. 2022, algorithm 2 without its second evaluation), down to the data. Without noise it is DDIM. By default Karras'
 * spacing.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const euler = defineSampler(
  solverFacts('euler', "Euler's method on the probability flow (Karras et al. 2022)", {
    ...dataSolverOptions,
    ...churnOptions,
  }),
  (schedule, options) => {
    const plan = solverPlan(schedule, options, { form: 'noise', trajectory: 'karras', toData: true });
    const levels = solverLevels(plan, plan.evaluations);
    const churned = churnedLevels(plan, levels.slice(0, -1), options);
    const records = churned.map(({ level }, i) => {
      const step = ratioUpdate(level, at(levels, i + 1), [[0, 1]]);
      const next = churned[i + 1];
      const update = next === undefined ? { x: step } : withChurn(step, next);
      return stepRecord({ ...evaluation(plan, level, 'noise'), ...update });
    });
    return stepProgram([...openingRecords(at(churned, 0)), ...records], { initialScale: plan.initialScale });
  },
);
