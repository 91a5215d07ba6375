import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { StepRecord } from '../../program/record.js';
import { continuousGrid } from '../../schedule/trajectory.js';
import { evaluation } from './evaluation.js';
import { noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import type { SamplerOptions } from '../options.js';
import { combine, exponentialStep, secondOrder, thirdOrder, thirdOrderStage, type SolverType } from './flow-steps.js';
import { blockProgram, refuseLowerOrderFinal } from './level-blocks.js';
import { solverLevels, solverProgram, type SolverPlan } from './solver-plan.js';

/** Level inside a step, and its place as a fraction of the step in half log-SNR. */
interface Stage {
  level: NoiseLevel;
  fraction: number;
}

/** Lists the levels inside a step of `order` evaluations: evenly in half log-SNR, or by the trajectory. */
function innerStages(plan: SolverPlan, from: NoiseLevel, to: NoiseLevel, order: number): Stage[] {
  const { schedule, trajectory } = plan;
  const h = to.logSnr - from.logSnr;
  if (trajectory === 'logsnr') {
    return Array.from({ length: order - 1 }, (_, i) => {
      const fraction = (i + 1) / order;
      return { level: noiseLevel(schedule, schedule.timeOfLogSnr(from.logSnr + fraction * h)), fraction };
    });
  }
  return continuousGrid(schedule, order, trajectory, from.time, to.time)
    .slice(1, -1)
    .map((time) => {
      const level = noiseLevel(schedule, time);
      return { level, fraction: (level.logSnr - from.logSnr) / h };
    });
}

/** Makes the records of one step: `x` keeps the state at its start, `y` is the stage that the network sees next. */
function stepRecords(
  plan: SolverPlan,
  from: NoiseLevel,
  to: NoiseLevel,
  order: number,
  type: SolverType,
): StepRecord[] {
  const { form } = plan;
  const step = exponentialStep(from, to, form);
  const stages = innerStages(plan, from, to, order);
  const toStage = stages.map(({ level }) => exponentialStep(from, level, form));
  const start = evaluation(plan, from, form, 0);
  if (order === 1) return [stepRecord({ ...start, x: combine(step.scale, [[0, step.first]]) })];
  const [first, second] = stages;
  const [toFirst, toSecond] = toStage;
  if (first === undefined || toFirst === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a step without its stages');
  const opening = stepRecord({ ...start, y: combine(toFirst.scale, [[0, toFirst.first]]) });
  const middle = { ...evaluation(plan, first.level, form, 1), read: 'y' as const };
  if (second === undefined || toSecond === undefined) {
    return [opening, stepRecord({ ...middle, x: secondOrder(step, first.fraction, type) })];
  }
  const fractions = [first.fraction, second.fraction] as const;
  return [
    opening,
    stepRecord({ ...middle, y: thirdOrderStage(toSecond, fractions) }),
    stepRecord({
      ...evaluation(plan, second.level, form, 2),
      read: 'y',
      x: thirdOrder(step, fractions, type),
    }),
  ];
}

/**
 * Makes a single-step solver: steps of these orders, each of as many network evaluations.
 *
 * @param levels - Levels, one more than orders.
 */
export function singleStepProgram(
  plan: SolverPlan,
  levels: readonly NoiseLevel[],
  orders: readonly number[],
  type: SolverType,
): StepProgram {
  const records = orders.flatMap((order, i) => stepRecords(plan, at(levels, i), at(levels, i + 1), order, type));
  return solverProgram(plan, records, at(levels, levels.length - 1));
}

/** Plans a step to the data at the end of a grid: one more evaluation, at the cleanest time. */
export function denoisingPlan(plan: SolverPlan): SolverPlan {
  if (!plan.toData || plan.given !== null) return plan;
  return { ...plan, toData: false, denoises: true, evaluations: plan.evaluations - 1 };
}

/** Makes as many steps of one order as the evaluations allow, or through the given levels. */
export function fixedOrderProgram(resolved: SolverPlan, order: number, options: SamplerOptions): StepProgram {
  const plan = denoisingPlan(resolved);
  const { solverType: type = 'midpoint' } = options;
  if (plan.given !== null) return blockProgram(plan, plan.given, order, options);
  refuseLowerOrderFinal(options);
  const steps = Math.floor(plan.evaluations / order);
  if (steps === 0 && !plan.denoises) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `a step of order ${order} needs ${order} evaluations, steps is ${plan.evaluations}`,
    );
  }
  return singleStepProgram(plan, solverLevels(plan, steps), new Array<number>(steps).fill(order), type);
}
