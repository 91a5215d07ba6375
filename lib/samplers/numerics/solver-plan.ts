import { DpmError } from '../../base/errors.js';
import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { RecordVariance, StepRecord } from '../../program/record.js';
import { checkLevels, dataLevel, levelOf, noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { solverTimes, spacedTimes, type Spacing } from '../../schedule/spacing.js';
import {
  continuousGrid,
  continuousInterval,
  explicitTimes,
  isSpacing,
  refuseUnusedSpacing,
  spacingOf,
  trajectoryOf,
  type Trajectory,
} from '../../schedule/trajectory.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { evaluation, type EvaluationOptions, type SolverForm } from './evaluation.js';

/** Properties of a solver before its records are made. */
export interface SolverKind {
  /** Prediction that the solver keeps of an evaluation. */
  form: SolverForm;
  /** Default of the option `trajectory`. */
  trajectory: Trajectory;
  /** True if it always goes to the data; else `end` decides. */
  toData?: boolean;
  /** True if every other level of `levels` is inside a step. */
  hasMidpoints?: boolean;
}

/** Options of a solver, resolved. */
export interface SolverPlan extends EvaluationOptions {
  form: SolverForm;
  trajectory: Trajectory;
  rho: number | undefined;
  start: number;
  end: number;
  /** Number of evaluations of the steps, without the one that denoises. */
  evaluations: number;
  /** Levels given one by one, the last of which is that of the result; null: a grid. */
  given: NoiseLevel[] | null;
  /** True if the last step goes to the data. */
  toData: boolean;
  /** True if one more evaluation replaces the state at the end by the data prediction. */
  denoises: boolean;
  initialScale: number;
}

/** Finds the standard deviation of the initial noise: the option, or that of the first level or time. */
export function initialScaleOf(
  schedule: NoiseSchedule,
  { initialScale, levels, tStart = schedule.noisiest }: SamplerOptions,
): number {
  return initialScale ?? schedule.initialScale(levels?.[0]?.sigma ?? tStart);
}

function argument(message: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', message);
}

/** Makes the error for an option that another one makes meaningless. */
export function refuseBoth(first: string, second: string): DpmError {
  return argument(`${first} already says what ${second} would: leave ${second} out`);
}

/** Refuses options that levels given one by one replace. */
function refuseBesideLevels(options: SamplerOptions): void {
  for (const name of ['timesteps', 'trajectory', 'rho', 'stepsOffset', 'steps', 'tStart', 'tEnd', 'end'] as const) {
    if (options[name] !== undefined) throw refuseBoth('levels', name);
  }
  if (options.denoiseToZero === true) throw refuseBoth('levels', 'denoiseToZero');
}

/** Makes levels of 0-based times, which may lie between two, and their targets. */
function levelsOfTimes(plan: SolverPlan, discrete: NoiseSchedule, times: readonly number[]): NoiseLevel[] {
  const { schedule, toData } = plan;
  const levels = times.map((time) => noiseLevel(schedule, (time + 1) / discrete.steps));
  const last = toData ? dataLevel : noiseLevel(schedule, schedule.cleanest);
  return [...levels, last];
}

/** Makes levels of explicit times. A run to the first time, by a solver not to the data, denoises there. */
function ofTimesteps(plan: SolverPlan, discrete: NoiseSchedule, options: SamplerOptions): SolverPlan {
  const { timesteps = [], denoiseToZero = false } = options;
  if (!discrete.discrete) throw argument('timesteps are for discrete noise schedules');
  const endsAtFirst = timesteps.at(-1) === 0;
  if (denoiseToZero && endsAtFirst) {
    throw argument('timesteps that end at 0 denoise by themselves: leave denoiseToZero out');
  }
  if (denoiseToZero) throw argument('timesteps denoise where they end at 0: append 0 instead of giving denoiseToZero');
  const times = explicitTimes(timesteps, discrete.steps)
    .map((n) => n - 1)
    .reverse();
  const denoises = endsAtFirst && !plan.toData;
  const levels = levelsOfTimes(plan, discrete, times);
  return {
    ...plan,
    given: denoises ? levels.slice(0, -1) : levels,
    denoises,
    start: levels[0]?.time ?? 1,
    evaluations: times.length - (denoises ? 1 : 0),
  };
}

function spaced(spacing: Spacing, steps: number, discrete: NoiseSchedule, options: SamplerOptions, kind: SolverKind) {
  const all = spacingOf(discrete, steps, options);
  return kind.toData === true ? spacedTimes(spacing, all) : solverTimes(spacing, all);
}

function requiredSteps({ steps }: SamplerOptions): number {
  if (steps === undefined || !Number.isInteger(steps) || steps < 1) {
    throw argument(`steps is ${steps ?? 'missing'}: give the number of network evaluations`);
  }
  return steps;
}

/**
 * Resolves the common options of solvers of the probability flow. They run in continuous time: a discrete schedule is
 * interpolated, and sampling ends at its first time, 1/N, or at the data. Without the option `clip` the data form has the
 * scheduler's clip, and the noise form, which a clip would disturb, has none.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function solverPlan(discrete: NoiseSchedule, options: SamplerOptions, kind: SolverKind): SolverPlan {
  const schedule = discrete.continuous();
  const { levels, timesteps, denoiseToZero = false } = options;
  const trajectory = trajectoryOf(schedule, options.trajectory, kind.trajectory);
  const toData = kind.toData ?? options.end === 'data';
  if (levels === undefined && timesteps === undefined) refuseUnusedSpacing(trajectory, options);
  if (toData && denoiseToZero) throw refuseBoth("end: 'data'", 'denoiseToZero');
  const interval = continuousInterval(schedule, options);
  const plan: SolverPlan = {
    schedule,
    prediction: options.prediction,
    clip: clipOf(schedule, options.clip ?? (kind.form === 'noise' ? 'none' : undefined)),
    form: kind.form,
    trajectory,
    rho: options.rho,
    ...interval,
    evaluations: 0,
    given: null,
    toData,
    denoises: false,
    initialScale: initialScaleOf(schedule, options),
  };
  if (levels !== undefined) return ofLevels(plan, options, kind);
  if (timesteps !== undefined) return ofTimesteps(plan, discrete, options);
  const steps = requiredSteps(options);
  const evaluations = steps - (denoiseToZero ? 1 : 0);
  const counted = { ...plan, denoises: denoiseToZero, evaluations };
  if (!isSpacing(trajectory)) return counted;
  if (!discrete.discrete) throw argument(`trajectory '${trajectory}' is for discrete noise schedules`);
  if (options.tStart !== undefined || options.tEnd !== undefined) {
    throw argument(`trajectory '${trajectory}' spreads over all times: leave tStart and tEnd out`);
  }
  const times = spaced(trajectory, evaluations, discrete, options, kind);
  if (!toData && times.at(-1) === 0) {
    throw argument(`trajectory '${trajectory}' of ${evaluations} steps ends at the first time: give end 'data'`);
  }
  return { ...counted, given: levelsOfTimes(plan, discrete, times) };
}

/**
 * Checks the option `levels`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry, or an option that contradicts it.
 */
export function givenLevels(schedule: NoiseSchedule, options: SamplerOptions, stride: 1 | 2 = 1): NoiseLevel[] {
  refuseBesideLevels(options);
  const { levels = [] } = options;
  checkLevels(levels, stride);
  return levels.map((level) => levelOf(schedule, level));
}

function ofLevels(plan: SolverPlan, options: SamplerOptions, { hasMidpoints = false }: SolverKind): SolverPlan {
  const given = givenLevels(plan.schedule, options, hasMidpoints ? 2 : 1);
  return {
    ...plan,
    given,
    evaluations: given.length - 1,
    toData: given.at(-1)?.sigma === 0,
  };
}

/** Lists the noise levels of `steps` steps, one more than steps. */
export function solverLevels(plan: SolverPlan, steps: number): NoiseLevel[] {
  if (plan.given !== null) return plan.given;
  const { schedule, trajectory, start, end, rho } = plan;
  if (plan.toData && steps > 0) return [...gridLevels(plan, steps - 1), dataLevel];
  if (steps === 0) return [noiseLevel(schedule, start)];
  return continuousGrid(schedule, steps, trajectory, start, end, rho).map((time) => noiseLevel(schedule, time));
}

function gridLevels(plan: SolverPlan, jumps: number): NoiseLevel[] {
  return solverLevels({ ...plan, toData: false }, jumps);
}

/** Changes the options to as many levels as the evaluations allow, two each and one in the last. */
export function ofPairs<T extends SamplerOptions>(options: T): T {
  const { steps } = options;
  return Number.isInteger(steps) ? { ...options, steps: Math.floor(((steps ?? 0) + 1) / 2) } : options;
}

/** Makes noise of a fixed deviation; none for 0. */
export function scalarVariance(deviation: number): RecordVariance {
  return deviation === 0 ? { kind: 'none' } : { kind: 'scalar', deviation };
}

/** Makes the record that replaces the state by the data prediction at the last level. */
function denoisingRecord(plan: SolverPlan, level: NoiseLevel): StepRecord {
  return stepRecord({ ...evaluation(plan, level, 'data'), x: linear({ history: [1] }) });
}

/** Makes the program of a solver's records, with a denoising one if requested. */
export function solverProgram(plan: SolverPlan, records: readonly StepRecord[], last: NoiseLevel): StepProgram {
  const all = plan.denoises ? [...records, denoisingRecord(plan, last)] : records;
  return stepProgram(all, { initialScale: plan.initialScale });
}
