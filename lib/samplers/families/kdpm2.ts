import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { stepProgram, stepRecord } from '../../program/builder.js';
import type { StepRecord } from '../../program/record.js';
import { levelOfRatio, noiseRatio, type Amplitudes, type NoiseLevel } from '../../schedule/noise-level.js';
import { dataSolverOptions, eta } from '../common-options.js';
import { evaluation } from '../numerics/evaluation.js';
import { ratioUpdate } from '../numerics/flow-steps.js';
import { ofPairs, scalarVariance, solverLevels, solverPlan, type SolverPlan } from '../numerics/solver-plan.js';
import { defineSampler, solverFacts } from '../sampler.js';

/** Level, the one inside the step from it (none in the last), and the end of the step. */
interface MidpointStep {
  from: NoiseLevel;
  middle: NoiseLevel | null;
  to: NoiseLevel;
}

/** Computes where the flow goes before noise is added: below the end's noise, by the share eta of an ancestral step. */
function downOf(from: Amplitudes, to: Amplitudes, share: number): { down: Amplitudes; deviation: number } {
  const [start, end] = [noiseRatio(from), noiseRatio(to)];
  const up = share * end * Math.sqrt(Math.max(0, 1 - (end / start) ** 2));
  return { down: { alpha: to.alpha, sigma: to.alpha * Math.sqrt(end * end - up * up) }, deviation: to.alpha * up };
}

/** Finds the level half-way in ln(sigma / alpha). */
function middleOf({ schedule }: SolverPlan, from: Amplitudes, to: Amplitudes): NoiseLevel {
  return levelOfRatio(schedule, Math.sqrt(noiseRatio(from) * noiseRatio(to)));
}

/** Makes steps of a grid, with computed midpoints. */
function gridSteps(plan: SolverPlan, levels: readonly NoiseLevel[], share: number): MidpointStep[] {
  return levels.slice(1).map((to, i) => {
    const from = at(levels, i);
    return { from, middle: to.sigma === 0 ? null : middleOf(plan, from, downOf(from, to, share).down), to };
  });
}

/** Makes steps of levels given one by one, every other of which is a midpoint. */
function givenSteps(levels: readonly NoiseLevel[]): MidpointStep[] {
  if (levels.length % 2 !== 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `levels: kdpm2 takes a midpoint after every level but the last that is evaluated, got ${levels.length}`,
    );
  }
  return Array.from({ length: levels.length / 2 }, (_, i) => {
    const isLast = 2 * i + 2 === levels.length;
    return {
      from: at(levels, 2 * i),
      middle: isLast ? null : at(levels, 2 * i + 1),
      to: at(levels, isLast ? 2 * i + 1 : 2 * i + 2),
    };
  });
}

function stepRecords(plan: SolverPlan, { from, middle, to }: MidpointStep, share: number): StepRecord[] {
  const { down, deviation } = downOf(from, to, share);
  const start = evaluation(plan, from, 'noise', 0);
  const variance = scalarVariance(deviation);
  if (middle === null) return [stepRecord({ ...start, x: ratioUpdate(from, down, [[0, 1]]), variance })];
  return [
    stepRecord({ ...start, y: ratioUpdate(from, middle, [[0, 1]]) }),
    stepRecord({ ...evaluation(plan, middle, 'noise', 1), read: 'y', x: ratioUpdate(from, down, [[1, 1]]), variance }),
  ];
}

/**
 * The midpoint method on the probability flow in sigma / alpha, with midpoints in its logarithm, down to the data (DPM2 of
 * k-diffusion, diffusers' KDPM2). With `eta` 1 steps are ancestral: they go further and add noise. M levels take 2 M - 1
 * evaluations: an even number of `steps` leaves one out. By default Karras' spacing.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const kdpm2 = defineSampler(
  solverFacts('kdpm2', 'the midpoint method on the probability flow, or ancestral with eta 1 (Crowson 2022)', {
    ...dataSolverOptions,
    eta,
  }),
  (schedule, options) => {
    const { eta: share = 0 } = options;
    const plan = solverPlan(schedule, ofPairs(options), {
      form: 'noise',
      trajectory: 'karras',
      toData: true,
      hasMidpoints: true,
    });
    const levels = solverLevels(plan, plan.evaluations);
    const all = options.levels === undefined ? gridSteps(plan, levels, share) : givenSteps(levels);
    const records = all.flatMap((step) => stepRecords(plan, step, share));
    return stepProgram(records, { initialScale: plan.initialScale });
  },
);
