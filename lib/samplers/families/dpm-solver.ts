import { at } from '../../base/arrays.js';
import type { StepProgram } from '../../program/program.js';
import { solverOptions, solverType } from '../common-options.js';
import type { SolverForm } from '../numerics/noise-level.js';
import { fixedOrderProgram, refuseTimesteps, singleStepProgram } from '../numerics/single-step.js';
import { solverFacts } from '../numerics/solver-facts.js';
import { solverLevels, solverPlan } from '../numerics/solver-plan.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, type Sampler, type SamplerFacts } from '../sampler.js';

const typedOptions = { ...solverOptions, solverType };

function fixedOrder<const F extends SamplerFacts>(facts: F, form: SolverForm, order: number): Sampler<F, StepProgram> {
  return defineSampler(facts, (schedule, options: SamplerOptions) =>
    fixedOrderProgram(
      solverPlan(schedule, options, { form, trajectory: 'logsnr' }),
      order,
      options.solverType ?? 'midpoint',
    ),
  );
}

/**
 * DPM-Solver-1 (Lu et al. 2022), which is DDIM without noise; by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver1 = fixedOrder(
  solverFacts('dpm-solver-1', 'DPM-Solver-1, one evaluation a step (Lu et al. 2022)', solverOptions),
  'noise',
  1,
);

/**
 * DPM-Solver-2 (Lu et al. 2022, algorithm 1): floor(steps / 2) steps of two evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver2 = fixedOrder(
  solverFacts('dpm-solver-2', 'DPM-Solver-2, two evaluations a step (Lu et al. 2022)', typedOptions),
  'noise',
  2,
);

/**
 * DPM-Solver-3 (Lu et al. 2022, algorithm 2): floor(steps / 3) steps of three evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver3 = fixedOrder(
  solverFacts('dpm-solver-3', 'DPM-Solver-3, three evaluations a step (Lu et al. 2022)', typedOptions),
  'noise',
  3,
);

/**
 * DPM-Solver++(2S) (Lu et al. 2022b): floor(steps / 2) steps of two evaluations on the data prediction, by default evenly
 * in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverPlusPlus2S = fixedOrder(
  solverFacts('dpm-solver++-2s', 'DPM-Solver++(2S), two evaluations a step (Lu et al. 2022b)', typedOptions),
  'data',
  2,
);

/** Orders that add up to `evaluations`: threes, and at the end what is left (Lu et al. 2022, section 3.4). */
function fastOrders(evaluations: number): number[] {
  const threes = Math.floor(evaluations / 3);
  const rest = evaluations % 3;
  if (rest !== 0) return [...new Array<number>(threes).fill(3), rest];
  return threes === 0 ? [] : [...new Array<number>(threes - 1).fill(3), 2, 1];
}

/**
 * DPM-Solver-fast (Lu et al. 2022): third-order steps, and lower orders at the end so that all evaluations are used. Evenly
 * in log-SNR unless `trajectory` says otherwise; then the steps' ends are points of a grid of as many steps as evaluations.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverFast = defineSampler(
  solverFacts('dpm-solver-fast', 'DPM-Solver-fast, steps of mixed orders (Lu et al. 2022)', typedOptions),
  (schedule, options) => {
    const plan = solverPlan(schedule, options, { form: 'noise', trajectory: 'logsnr' });
    refuseTimesteps(plan);
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
  },
);
