import { DpmError } from '../../base/errors.js';
import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { StepRecord } from '../../program/record.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import {
  continuousGrid,
  continuousInterval,
  explicitTimes,
  trajectoryOf,
  type Trajectory,
} from '../../schedule/trajectory.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { evaluation, noiseLevel, type EvaluationOptions, type NoiseLevel, type SolverForm } from './noise-level.js';

/** What distinguishes a solver before its records are made. */
export interface SolverKind {
  /** What the solver keeps of an evaluation. */
  form: SolverForm;
  /** Default of the option `trajectory`. */
  trajectory: Trajectory;
}

/** The options of a solver, resolved. */
export interface SolverPlan extends EvaluationOptions {
  form: SolverForm;
  trajectory: Trajectory;
  start: number;
  end: number;
  /** Evaluations the steps may take, without the one that denoises. */
  evaluations: number;
  /** Levels given by `timesteps`, the last of which is the end; null: a grid. */
  given: NoiseLevel[] | null;
  denoises: boolean;
}

function argument(message: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', message);
}

/** Decreasing times t = n / N of explicit ones. */
function givenTimes({ steps }: NoiseSchedule, timesteps: readonly number[]): number[] {
  return explicitTimes(timesteps, steps)
    .map((n) => n / steps)
    .reverse();
}

/**
 * Resolves what all solvers of the probability flow share. They run in continuous time: a discrete schedule is interpolated,
 * and sampling ends at its first time, 1/N. Without the option `clip` the data form is clipped as the scheduler says and
 * the noise form, which the clip would disturb, is not.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function solverPlan(discrete: NoiseSchedule, options: SamplerOptions, kind: SolverKind): SolverPlan {
  const schedule = discrete.continuous();
  const { timesteps, denoiseToZero = false } = options;
  const trajectory = trajectoryOf(schedule, options.trajectory, kind.trajectory);
  const plan = {
    schedule,
    prediction: options.prediction,
    clip: clipOf(schedule, options.clip ?? (kind.form === 'noise' ? 'none' : undefined)),
    form: kind.form,
    trajectory,
    ...continuousInterval(schedule, options),
  };
  if (timesteps !== undefined) {
    if (!discrete.discrete) throw argument('timesteps are for discrete noise schedules');
    if (denoiseToZero) throw argument('timesteps that end at 0 denoise by themselves: leave denoiseToZero out');
    const times = givenTimes(discrete, timesteps);
    const denoises = timesteps.at(-1) === 0;
    const given = [...times, ...(denoises ? [] : [schedule.cleanest])].map((time) => noiseLevel(schedule, time));
    const [first] = given;
    return { ...plan, given, denoises, start: first?.time ?? 1, evaluations: times.length - (denoises ? 1 : 0) };
  }
  const { steps } = options;
  if (steps === undefined || !Number.isInteger(steps) || steps < 1) {
    throw argument(`steps is ${steps ?? 'missing'}: give the number of network evaluations`);
  }
  return { ...plan, given: null, denoises: denoiseToZero, evaluations: steps - (denoiseToZero ? 1 : 0) };
}

/** The noise levels of `steps` steps, one more than steps. */
export function solverLevels(plan: SolverPlan, steps: number): NoiseLevel[] {
  if (plan.given !== null) return plan.given;
  const { schedule, trajectory, start, end } = plan;
  if (steps === 0) return [noiseLevel(schedule, start)];
  return continuousGrid(schedule, steps, trajectory, start, end).map((time) => noiseLevel(schedule, time));
}

/** The record that replaces the state by the data prediction at the last level. */
function denoisingRecord(plan: SolverPlan, level: NoiseLevel): StepRecord {
  return stepRecord({ ...evaluation(plan, level, 'data'), x: linear({ history: [1] }) });
}

/** The program of a solver's records, with the denoising one where it is asked for. */
export function solverProgram(plan: SolverPlan, records: readonly StepRecord[], last: NoiseLevel): StepProgram {
  const all = plan.denoises ? [...records, denoisingRecord(plan, last)] : records;
  return stepProgram(all, { initialScale: plan.schedule.initialScale(plan.start) });
}
