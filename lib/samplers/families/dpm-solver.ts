import { at } from '../../base/arrays.js';
import { unknownName } from '../../base/checks.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { Sampler, SamplerOptions } from '../options.js';
import type { StepProgram } from '../../program/program.js';
import { fixedOrderProgram, refuseTimesteps, singleStepProgram, type SolverType } from '../numerics/single-step.js';
import { solverLevels, solverPlan, type SolverKind } from '../numerics/solver-plan.js';

/** The checked option `solverType`. */
export function solverTypeOf(type: SolverType = 'midpoint'): SolverType {
  const valid: readonly string[] = ['midpoint', 'taylor'];
  if (!valid.includes(type)) throw unknownName('solverType', type, valid);
  return type;
}

function fixedOrder(kind: SolverKind, order: number): Sampler & ((...args: Parameters<Sampler>) => StepProgram) {
  return (schedule, options = {}) =>
    fixedOrderProgram(solverPlan(schedule, options, kind), order, solverTypeOf(options.solverType));
}

const noiseKind = (name: string, optionNames: SolverKind['optionNames']): SolverKind => ({
  name,
  form: 'noise',
  trajectory: 'logsnr',
  optionNames,
});

/**
 * DPM-Solver-1 (Lu et al. 2022), which is DDIM without noise; by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver1 = fixedOrder(noiseKind('dpm-solver-1', []), 1);

/**
 * DPM-Solver-2 (Lu et al. 2022, algorithm 1): floor(steps / 2) steps of two evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver2 = fixedOrder(noiseKind('dpm-solver-2', ['solverType']), 2);

/**
 * DPM-Solver-3 (Lu et al. 2022, algorithm 2): floor(steps / 3) steps of three evaluations, by default evenly in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver3 = fixedOrder(noiseKind('dpm-solver-3', ['solverType']), 3);

/**
 * DPM-Solver++(2S) (Lu et al. 2022b): floor(steps / 2) steps of two evaluations on the data prediction, by default evenly
 * in log-SNR.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverPlusPlus2S = fixedOrder(
  { name: 'dpm-solver++-2s', form: 'data', trajectory: 'logsnr', optionNames: ['solverType'] },
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
export function dpmSolverFast(schedule: NoiseSchedule, options: SamplerOptions = {}): StepProgram {
  const names = ['solverType'] as const;
  const plan = solverPlan(schedule, options, noiseKind('dpm-solver-fast', names));
  refuseTimesteps(plan);
  const orders = fastOrders(plan.evaluations);
  const type = solverTypeOf(options.solverType);
  if (plan.trajectory === 'logsnr') {
    return singleStepProgram(plan, solverLevels(plan, orders.length), orders, type);
  }
  const fine = solverLevels(plan, plan.evaluations);
  let position = 0;
  const ends = [0, ...orders.map((order) => (position += order))];
  return singleStepProgram(
    plan,
    ends.map((i) => at(fine, i)),
    orders,
    type,
  );
}
