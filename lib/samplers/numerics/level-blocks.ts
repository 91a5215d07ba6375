import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { linear, stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { LinearUpdate, StepRecord } from '../../program/record.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import type { SamplerOptions } from '../options.js';
import { evaluation } from './evaluation.js';
import {
  combine,
  secondOrder,
  solverStep,
  thirdOrder,
  type SolverType,
  type StepNoise,
  type StochasticStep,
} from './flow-steps.js';
import { scalarVariance, solverProgram, type SolverPlan } from './solver-plan.js';

/** Lists orders that add up to `evaluations`: threes, and at the end the rest (Lu et al. 2022, section 3.4). */
export function fastOrders(evaluations: number): number[] {
  const threes = Math.floor(evaluations / 3);
  const rest = evaluations % 3;
  if (rest !== 0) return [...new Array<number>(threes).fill(3), rest];
  return threes === 0 ? [] : [...new Array<number>(threes - 1).fill(3), 2, 1];
}

/** Lists twos, and at the end one or two ones. */
function twos(evaluations: number): number[] {
  const ones = evaluations % 2 === 0 ? 2 : 1;
  return [
    ...new Array<number>((evaluations - ones) / 2).fill(2),
    ...new Array<number>(Math.min(ones, evaluations)).fill(1),
  ];
}

/**
 * Lists orders of single steps that use every evaluation. The last ones are lower if `lowers` is true, if the evaluations
 * are no multiple of the order, or if the last step goes to the data, always by order 1.
 */
export function blockOrders(
  { evaluations, toData }: Pick<SolverPlan, 'evaluations' | 'toData'>,
  order: number,
  lowers: boolean,
): number[] {
  if (evaluations === 0) return [];
  if (!lowers && !toData && evaluations % order === 0) return new Array<number>(evaluations / order).fill(order);
  if (order === 1) return new Array<number>(evaluations).fill(1);
  const orders = order === 3 ? fastOrders(evaluations) : twos(evaluations);
  const last = orders.at(-1) ?? 1;
  return toData && last > 1 ? [...orders.slice(0, -1), last - 1, 1] : orders;
}

/** Refuses `lowerOrderFinal` without given levels, as a step then chooses its inner levels itself. */
export function refuseLowerOrderFinal({ lowerOrderFinal }: SamplerOptions): void {
  if (lowerOrderFinal === undefined) return;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    'lowerOrderFinal of a single-step solver is for levels and timesteps, between which it has to choose the last orders',
  );
}

interface BlockOptions {
  type: SolverType;
  /** Noise in every record, those of the stages included. */
  noise: StepNoise;
}

/** Makes the update to the level after the stage `inner` of a block, from m[0] … m[inner] and its first state. */
function stageUpdate(step: StochasticStep, fractions: readonly number[], type: SolverType): LinearUpdate {
  const [first, second] = fractions;
  if (first === undefined) return combine(step.scale, [[0, step.first]]);
  if (second === undefined) return secondOrder(step, first, type);
  return thirdOrder(step, [first, second], type);
}

/**
 * Makes the records of one step through given levels, the inner ones of which are its stages. Without noise `x` keeps the
 * state at its start and `y` is the stage; with noise, which is added to `x` alone, the other way round.
 */
function blockRecords(plan: SolverPlan, levels: readonly NoiseLevel[], own: BlockOptions): StepRecord[] {
  const from = at(levels, 0);
  return levels.slice(1).map((to, stage) => {
    const step = solverStep(from, to, plan.form, own.noise);
    const fractions = levels.slice(1, stage + 1).map((inner) => (inner.logSnr - from.logSnr) / step.h);
    const update = stageUpdate(step, fractions, own.type);
    const evaluated = evaluation(plan, at(levels, stage), plan.form, stage);
    const isLast = stage === levels.length - 2;
    if (own.noise === 'none') {
      const target = isLast ? { x: update } : { y: update };
      return stepRecord({ ...evaluated, read: stage === 0 ? 'x' : 'y', ...target });
    }
    const base = stage === 0 ? update : linear({ ...update, x: 0, y: update.x });
    return stepRecord({
      ...evaluated,
      x: base,
      variance: scalarVariance(step.deviation),
      y: isLast ? linear({ x: 1 }) : null,
    });
  });
}

/** Copies the initial state to `y`, where the first step with noise begins. */
function copyRecord(): StepRecord {
  return stepRecord({ evaluate: false, time: 0, y: linear({ x: 1 }) });
}

/**
 * Makes single steps of an order through given levels: the inner levels of a step are its stages, each reached by a step of
 * the order that the stages before it allow.
 */
export function blockProgram(
  plan: SolverPlan,
  levels: readonly NoiseLevel[],
  order: number,
  { solverType: type = 'midpoint', lowerOrderFinal, thirdOrder: third = 'exact' }: SamplerOptions,
  stochastic = false,
): StepProgram {
  const own: BlockOptions = { type, noise: stochastic ? third : 'none' };
  let position = 0;
  const records = blockOrders(plan, order, (lowerOrderFinal ?? false) !== false).flatMap((length) => {
    const block = levels.slice(position, position + length + 1);
    position += length;
    return blockRecords(plan, block, own);
  });
  const all = stochastic ? [copyRecord(), ...records] : records;
  return solverProgram(plan, all, at(levels, levels.length - 1));
}
