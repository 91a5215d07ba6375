// Parts of runs: the last steps, from a strength or a noise level on, and the first ones down to a level.
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { StepProgram } from '../program/program.js';
import { isWholeStep } from '../program/steps.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';

/** Where the last steps of a run begin. */
export type Beginning =
  /** Share of the steps that are taken, above 0 to 1: `floor(K strength)` of K. */
  | { readonly strength: number }
  /** Ratio sigma / alpha which all levels of the steps lie below. */
  | { readonly below: number };

/** Rounds halves to the even neighbour, as Python does. */
function roundedToEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/**
 * Finds the ratio sigma / alpha where a share of a schedule's N times is done, which diffusers rounds to a whole time: the levels
 * before it are not below it.
 *
 * @param share - Share of the times, above 0 to 1, from the noisiest on.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a schedule that has no table of times.
 */
export function ratioAfter(schedule: NoiseSchedule, share: number): number {
  if (!schedule.discrete) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `a share of schedule ${schedule.name} needs a table of its times`);
  }
  const left = roundedToEven(schedule.steps - share * schedule.steps);
  if (left >= schedule.steps) throw wrongValue('the share', share, `at least one of ${schedule.steps} times`);
  return Math.sqrt(schedule.betaBar(left + 1) / schedule.alphaBar(left + 1));
}

/** Ratio sigma / alpha of a network time. */
export function ratioOfTime(schedule: NoiseSchedule, time: number): number {
  const { alpha, sigma } = amplitudesOfNetworkTime(schedule, time);
  return sigma / alpha;
}

/**
 * Counts the steps that a beginning leaves out.
 *
 * @param steps - Number of steps of the whole run.
 * @param ratios - Gives the ratio sigma / alpha of each step's level.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if none is left.
 */
export function skippedSteps(steps: number, beginning: Beginning, ratios: () => readonly number[]): number {
  if ('strength' in beginning) {
    const { strength } = beginning;
    const kept = Math.min(Math.floor(steps * strength), steps);
    if (kept >= 1) return steps - kept;
    throw new DpmError('ERR_DPM_ARGUMENT', `strength ${strength} of ${steps} steps leaves none: give more of either`);
  }
  const skipped = ratios().findIndex((ratio) => ratio < beginning.below);
  if (skipped >= 0) return skipped;
  throw new DpmError('ERR_DPM_ARGUMENT', `none of the ${steps} steps is left behind the hand-over: give more steps`);
}

/**
 * Requires that every record is a step from one state of the run to the next.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a sampler with several evaluations a step, or one whose states run ahead.
 */
export function requireOneEvaluation({ records }: StepProgram): void {
  if (records.every((record) => isWholeStep(record))) return;
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    'a run is handed over between steps of one evaluation, each of which ends at a state: take another sampler',
  );
}

/**
 * Leaves out the steps whose levels lie below a ratio sigma / alpha: the run then ends at the level of the first of them, with
 * its noise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if no step is left, `ERR_DPM_UNSUPPORTED` for a sampler with several evaluations a
 * step, which may lie on both sides.
 */
export function earlierSteps(schedule: NoiseSchedule, program: StepProgram, least: number): StepProgram {
  const { records } = program;
  requireOneEvaluation(program);
  const end = records.findIndex(({ time }) => ratioOfTime(schedule, time) < least);
  if (end < 0) return program;
  if (end > 0) return { ...program, records: records.slice(0, end) };
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `none of the ${records.length} steps is left before the hand-over: give more steps`,
  );
}
