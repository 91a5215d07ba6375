import { at } from '../../base/arrays.js';
import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { LinearUpdate, StepRecord } from '../../program/record.js';
import { levelSteps, noiseLevel, type Amplitudes, type NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { dataSolverOptions } from '../common-options.js';
import { evaluation, type EvaluationFields } from '../numerics/evaluation.js';
import { collected, ratioStep } from '../numerics/flow-steps.js';
import { solverLevels, solverPlan, type SolverPlan } from '../numerics/solver-plan.js';
import { choiceOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, solverFacts } from '../sampler.js';

/** An evaluation, and the transfer of the state that follows it, from one level to another. */
interface Transfer {
  evaluated: NoiseLevel;
  from: Amplitudes;
  to: Amplitudes;
}

type Weights = readonly (readonly [slot: number, weight: number])[];

/** Number of kept predictions; the stages of a step come after them. */
const kept = 4;
const [secondStage, thirdStage, fourthStage] = [kept, kept + 1, kept + 2];

/** Weights of the newest and of older predictions, Adams-Bashforth of orders 1 to 4. */
const adamsBashforth = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Computes Runge and Kutta's weights of the four evaluations of a step. */
function rungeKutta(first: number): Weights {
  return [
    [first, 1 / 6],
    [secondStage, 1 / 3],
    [thirdStage, 1 / 3],
    [fourthStage, 1 / 6],
  ];
}

/** Maker of the records of PLMS and PNDM: each keeps an evaluation and transfers the state by a combination. */
class TransferRecords {
  constructor(
    private readonly plan: SolverPlan,
    private readonly combines: SamplerOptions['combines'] = 'noise',
  ) {}

  keep({ evaluated }: Transfer, slot: number): EvaluationFields {
    const fields = evaluation(this.plan, evaluated, 'noise', slot);
    if (this.combines === 'noise') return fields;
    const data = fields.data ?? fields.prediction;
    return { ...fields, data, prediction: { input: 0, output: 1 }, store: { slot, input: 0, data: 1 } };
  }

  /** Moves the state by a combination of noise predictions, or of velocities, which become noise with the state's own. */
  move({ from, to }: Transfer, weights: Weights): LinearUpdate {
    const { scale, change } = ratioStep(from, to);
    const [state, output] = this.combines === 'noise' ? [0, 1] : [from.sigma, from.alpha];
    const history = collected(weights.map(([slot, weight]) => [slot, change * output * weight]));
    return linear({ x: scale + change * state, history });
  }

  /** Makes a step of four evaluations, the first of which is kept. */
  rungeKuttaStep(block: readonly Transfer[], slot: number): StepRecord[] {
    const [first, second, third, fourth] = [at(block, 0), at(block, 1), at(block, 2), at(block, 3)];
    return [
      stepRecord({ ...this.keep(first, slot), y: this.move(first, [[slot, 1]]) }),
      stepRecord({ ...this.keep(second, secondStage), read: 'y', y: this.move(second, [[secondStage, 1]]) }),
      stepRecord({ ...this.keep(third, thirdStage), read: 'y', y: this.move(third, [[thirdStage, 1]]) }),
      stepRecord({ ...this.keep(fourth, fourthStage), read: 'y', x: this.move(fourth, rungeKutta(slot)) }),
    ];
  }

  /** Makes the multistep record of the kept prediction number `index`. */
  multistep(transfer: Transfer, index: number): StepRecord {
    const weights = at(adamsBashforth, Math.min(index, kept - 1));
    const past = weights.map((weight, back): [number, number] => [(index - back) % kept, weight]);
    return stepRecord({ ...this.keep(transfer, index % kept), x: this.move(transfer, past) });
  }

  /** Makes the first step of PLMS: to the end, evaluated, and again with the mean of both. */
  improvedEuler(first: Transfer, second: Transfer): StepRecord[] {
    const mean: Weights = [
      [0, 1 / 2],
      [secondStage, 1 / 2],
    ];
    return [
      stepRecord({ ...this.keep(first, 0), y: this.move(first, [[0, 1]]) }),
      stepRecord({ ...this.keep(second, secondStage), read: 'y', x: this.move(second, mean) }),
    ];
  }
}

/** Lists transfers of single steps between levels, or of given levels. */
function levelTransfers(levels: readonly NoiseLevel[], given?: SamplerOptions['levels']): Transfer[] {
  return levelSteps(levels, given).map((step) => ({ evaluated: step.from, ...step }));
}

/** Lists the transfers of PLMS between levels: the first step's two, then one for each level from the second. */
function plmsTransfers(levels: readonly NoiseLevel[]): Transfer[] {
  const steps = levelTransfers(levels);
  if (steps.length === 1) return steps;
  const first = at(steps, 0);
  return [first, { ...first, evaluated: at(levels, 1) }, ...steps.slice(1)];
}

/** Lists the transfers of PNDM: steps of Runge and Kutta, midpoints half-way in time, then one for each level. */
function pndmTransfers(schedule: NoiseSchedule, levels: readonly NoiseLevel[], blocks: number): Transfer[] {
  const steps = levelTransfers(levels);
  const opening = steps.slice(0, blocks).flatMap(({ evaluated: from, to: goal }, i) => {
    const to = at(levels, i + 1);
    const middle = noiseLevel(schedule, (from.time + to.time) / 2);
    return [
      { evaluated: from, from, to: middle },
      { evaluated: middle, from, to: middle },
      { evaluated: middle, from, to: goal },
      { evaluated: to, from, to: goal },
    ];
  });
  return [...opening, ...steps.slice(blocks)];
}

const pndmOptions = {
  ...dataSolverOptions,
  combines: choiceOption('what is combined, default noise', ['noise', 'output']),
};

/** Plans levels of an own trajectory, `spent` evaluations more than steps. */
function planned(schedule: NoiseSchedule, options: SamplerOptions, spent: number): SolverPlan {
  const { steps } = options;
  const counted = steps === undefined || !Number.isInteger(steps) ? options : { ...options, steps: steps - spent };
  const trajectory = schedule.discrete ? 'leading' : 'uniform';
  return solverPlan(schedule, counted, { form: 'noise', trajectory, toData: true });
}

function program(records: readonly StepRecord[], { initialScale }: SolverPlan): StepProgram {
  return stepProgram(records, { initialScale });
}

/**
 * PLMS (Liu et al. 2022, as in diffusers with `skip_prk_steps`): fourth-order Adams-Bashforth steps in DDIM's form, down to
 * the data; one evaluation more than levels. By default diffusers' leading times.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const plms = defineSampler(
  solverFacts('plms', 'PLMS, pseudo linear multistep (Liu et al. 2022)', pndmOptions),
  (schedule, options) => {
    const plan = planned(schedule, options, options.steps === 1 ? 0 : 1);
    const levels = solverLevels(plan, plan.evaluations);
    const transfers = options.levels === undefined ? plmsTransfers(levels) : levelTransfers(levels, options.levels);
    const records = new TransferRecords(plan, options.combines);
    const [first, second, ...rest] = transfers;
    if (first === undefined || second === undefined) return program([records.multistep(at(transfers, 0), 0)], plan);
    const later = rest.map((transfer, i) => records.multistep(transfer, i + 1));
    return program([...records.improvedEuler(first, second), ...later], plan);
  },
);

/** Counts the steps of Runge and Kutta: three, or as many as leave an evaluation for another. */
function openingSteps(evaluations: number): number {
  return Math.max(Math.min(3, Math.floor((evaluations - 1) / 4)), 0);
}

/**
 * PNDM (Liu et al. 2022): three steps of Runge and Kutta of four evaluations each (fewer if `steps` is below 13), then PLMS,
 * down to the data. By default diffusers' leading times.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const pndm = defineSampler(
  solverFacts('pndm', 'PNDM, pseudo Runge-Kutta steps and then PLMS (Liu et al. 2022)', pndmOptions),
  (schedule, options) => {
    const evaluations = options.levels === undefined ? (options.steps ?? 1) : options.levels.length - 1;
    const blocks = openingSteps(evaluations);
    const plan = planned(schedule, options, 3 * blocks);
    const levels = solverLevels(plan, plan.evaluations);
    const transfers =
      options.levels === undefined
        ? pndmTransfers(plan.schedule, levels, blocks)
        : levelTransfers(levels, options.levels);
    const records = new TransferRecords(plan, options.combines);
    const first = Array.from({ length: blocks }, (_, block) =>
      records.rungeKuttaStep(transfers.slice(4 * block, 4 * block + 4), block),
    );
    const later = transfers.slice(4 * blocks).map((transfer, i) => records.multistep(transfer, i + blocks));
    return program([...first.flat(), ...later], plan);
  },
);
