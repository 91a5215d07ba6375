import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { LinearUpdate, StepRecord } from '../../program/record.js';
import { continuousGrid } from '../../schedule/trajectory.js';
import { combine, exponentialStep, type ExponentialStep } from './exponential-step.js';
import { evaluation, noiseLevel, type NoiseLevel } from './noise-level.js';
import { solverLevels, solverProgram, type SolverPlan } from './solver-plan.js';

export type SolverType = 'midpoint' | 'taylor';

/** A level inside a step, and which fraction of the step in half log-SNR it lies at. */
interface Stage {
  level: NoiseLevel;
  fraction: number;
}

/** The levels inside a step of `order` evaluations: evenly in half log-SNR, or as the trajectory has them. */
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

/** The last update of a second-order step from m[0] at its start and m[1] at a fraction of it. */
export function secondOrder(step: ExponentialStep, fraction: number, type: SolverType): LinearUpdate {
  const weight = (type === 'midpoint' ? 0.5 * step.first : step.slope) / fraction;
  return combine(step.scale, [
    [0, step.first - weight],
    [1, weight],
  ]);
}

/** The second stage of a third-order step, from m[0] and m[1]. */
export function thirdOrderStage(stage: ExponentialStep, [first, second]: readonly [number, number]): LinearUpdate {
  const weight = (stage.slope * second) / first;
  return combine(stage.scale, [
    [0, stage.first - weight],
    [1, weight],
  ]);
}

/** The last update of a third-order step from m[0], m[1] and m[2]. */
export function thirdOrder(
  step: ExponentialStep,
  [first, second]: readonly [number, number],
  type: SolverType,
): LinearUpdate {
  const { slope, curvature } = step;
  const spread = second - first;
  const [one, two] =
    type === 'midpoint'
      ? [0, slope / second]
      : [(slope * second - 2 * curvature) / spread / first, (2 * curvature - slope * first) / spread / second];
  return combine(step.scale, [
    [0, step.first - one - two],
    [1, one],
    [2, two],
  ]);
}

/** The records of one step: `x` keeps the state at its start, `y` is the stage that the network sees next. */
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
 * A single-step solver: steps of these orders, each of as many network evaluations.
 *
 * @param levels - One more than orders.
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

/** Refuses explicit times, between which the inner stages would have to lie. */
export function refuseTimesteps(plan: SolverPlan): void {
  if (plan.given === null) return;
  throw new DpmError('ERR_DPM_ARGUMENT', 'timesteps leave no room for the inner stages of a single-step solver');
}

/** As many steps of one order as the evaluations allow. */
export function fixedOrderProgram(plan: SolverPlan, order: number, type: SolverType): StepProgram {
  if (order > 1) refuseTimesteps(plan);
  const steps = Math.floor(plan.evaluations / order);
  if (steps === 0 && !plan.denoises) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `a step of order ${order} needs ${order} evaluations, steps is ${plan.evaluations}`,
    );
  }
  return singleStepProgram(plan, solverLevels(plan, steps), new Array<number>(steps).fill(order), type);
}
