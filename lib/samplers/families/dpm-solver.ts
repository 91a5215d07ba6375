import { at } from '../../base/arrays.js';
import type { StepProgram } from '../../program/program.js';
import { lowerOrderFinal, solverOptions, solverType, thirdOrder } from '../common-options.js';
import type { SolverForm } from '../numerics/evaluation.js';
import { blockProgram, fastOrders } from '../numerics/level-blocks.js';
import { denoisingPlan, fixedOrderProgram, singleStepProgram } from '../numerics/single-step.js';
import { solverLevels, solverPlan } from '../numerics/solver-plan.js';
import { integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, solverFacts, type Sampler, type SamplerFacts } from '../sampler.js';

const fastOptions = { ...solverOptions, solverType };

const typedOptions = { ...fastOptions, lowerOrderFinal };

function fixedOrder<const F extends SamplerFacts>(facts: F, form: SolverForm, order: number): Sampler<F, StepProgram> {
  return defineSampler(facts, (schedule, options: SamplerOptions) =>
    fixedOrderProgram(solverPlan(schedule, options, { form, trajectory: 'logsnr' }), order, options),
  );
}

/**
 * DPM-Solver-1 (Lu et al. 2022), which is DDIM without noise; by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver1 = fixedOrder(
  solverFacts('dpm-solver-1', 'DPM-Solver-1, one evaluation a step (Lu et al. 2022)', solverOptions),
  'noise',
  1,
);

/**
 * DPM-Solver-2 (Lu et al. 2022, algorithm 1): floor(steps / 2) steps of two evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver2 = fixedOrder(
  solverFacts('dpm-solver-2', 'DPM-Solver-2, two evaluations a step (Lu et al. 2022)', typedOptions),
  'noise',
  2,
);

/**
 * DPM-Solver-3 (Lu et al. 2022, algorithm 2): floor(steps / 3) steps of three evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver3 = fixedOrder(
  solverFacts('dpm-solver-3', 'DPM-Solver-3, three evaluations a step (Lu et al. 2022)', typedOptions),
  'noise',
  3,
);

/**
 * DPM-Solver++(3S): floor(steps / 3) steps of three evaluations on the data prediction, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus3S = fixedOrder(
  solverFacts('dpm-solver++-3s', 'DPM-Solver++(3S), three evaluations a step (Lu et al. 2022b)', typedOptions),
  'data',
  3,
);

/**
 * DPM-Solver++(2S) (Lu et al. 2022b): floor(steps / 2) steps of two evaluations on the data prediction, by default evenly
 * in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus2S = fixedOrder(
  solverFacts('dpm-solver++-2s', 'DPM-Solver++(2S), two evaluations a step (Lu et al. 2022b)', typedOptions),
  'data',
  2,
);

function fast<const F extends SamplerFacts>(facts: F, form: SolverForm): Sampler<F, StepProgram> {
  return defineSampler(facts, (schedule, options: SamplerOptions) => {
    const plan = denoisingPlan(solverPlan(schedule, options, { form, trajectory: 'logsnr' }));
    if (plan.given !== null) return blockProgram(plan, plan.given, 3, { ...options, lowerOrderFinal: true });
    const orders = fastOrders(plan.evaluations);
    const { solverType: type = 'midpoint' } = options;
    if (plan.trajectory === 'logsnr') {
      return singleStepProgram(plan, solverLevels(plan, orders.length), orders, type);
    }
    const fine = solverLevels(plan, plan.evaluations);
    let position = 0;
    const ends = [0, ...orders.map((order) => (position += order))];
    const levels = ends.map((i) => at(fine, i));
    return singleStepProgram(plan, levels, orders, type);
  });
}

/**
 * DPM-Solver-fast (Lu et al. 2022): third-order steps, and lower orders at the end so that all evaluations are used. Steps
 * are even in log-SNR unless `trajectory` is given; then the steps' ends are points of a grid of as many steps as
 * evaluations.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverFast = fast(
  solverFacts('dpm-solver-fast', 'DPM-Solver-fast, steps of mixed orders (Lu et al. 2022)', fastOptions),
  'noise',
);

/**
 * DPM-Solver-fast on the data prediction (Lu et al. 2022b); otherwise as {@link dpmSolverFast}.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlusFast = fast(
  solverFacts('dpm-solver++-fast', 'DPM-Solver++-fast, steps of mixed orders (Lu et al. 2022b)', fastOptions),
  'data',
);

/**
 * SDE-DPM-Solver++ in single steps of `order` 1 to 3, 3 by default, with noise in every stage (Lu et al. 2022b, appendix).
 * The stages are levels of the trajectory, by default evenly in time; with noise of their own they leave order 1 in
 * distribution.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus3SSde = defineSampler(
  solverFacts('dpm-solver++-3s-sde', 'SDE-DPM-Solver++, single steps with noise (Lu et al. 2022b)', {
    ...typedOptions,
    order: integerOption('order, default 3', 1, 3),
    thirdOrder,
  }),
  (schedule, options) => {
    const plan = solverPlan(schedule, options, { form: 'data', trajectory: 'uniform' });
    const levels = solverLevels(plan, plan.evaluations);
    return blockProgram(plan, levels, options.order ?? 3, options, true);
  },
);
