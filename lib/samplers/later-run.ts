// Runs that begin with a noised picture, at the level of a later step (Meng et al. 2022, SDEdit).
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { isStepByItself } from '../program/steps.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { samplerByName, type SamplerName } from './index.js';
import type { SamplerOptions } from './options.js';
import { ratioOfTime, requireOneEvaluation, skippedSteps, type Beginning } from './part-of-run.js';
import type { LaterRun } from './scheduler/run.js';
import { laterSchedulerRun } from './scheduler/scheduler.js';

/** Samplers that remember past predictions and have times of their own, not any between two. */
const ownTimes: readonly SamplerName[] = ['plms', 'pndm'];

function refused(sampler: string, why: string): DpmError {
  return new DpmError('ERR_DPM_UNSUPPORTED', `sampler ${sampler} begins with no picture: ${why}`);
}

/**
 * Makes the last steps of a sampler's run. Of samplers that remember past predictions it is a run of its own over the times
 * that are left.
 *
 * @param given - Options of the sampler, with its number of steps K.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if no step is left, `ERR_DPM_UNSUPPORTED` for samplers that choose their steps
 * while they run; and the errors of the sampler.
 */
export function laterRun(
  schedule: NoiseSchedule,
  sampler: SamplerName,
  given: SamplerOptions,
  beginning: Beginning,
): LaterRun {
  const { steps } = given;
  if (steps === undefined) throw refused(sampler, 'it chooses its steps while it runs');
  const options = { ...given, steps };
  if (sampler === 'scheduler') return laterSchedulerRun(schedule, options, beginning);
  const make = samplerByName(sampler);
  const whole = make(schedule, options);
  if (whole.kind === 'host') throw refused(sampler, 'it chooses its steps while it runs');
  if ('below' in beginning) requireOneEvaluation(whole);
  const evaluations = whole.records.filter(({ evaluate }) => evaluate);
  const ratios = (): number[] => evaluations.map((each) => ratioOfTime(schedule, each.time));
  const skipped = skippedSteps(steps, beginning, ratios);
  const { time } = at(evaluations, Math.min(skipped, evaluations.length - 1));
  const start = amplitudesOfNetworkTime(schedule, time);
  if (skipped === 0 || whole.records.every((record) => isStepByItself(record))) {
    return { program: { ...whole, records: whole.records.slice(skipped) }, start };
  }
  if (ownTimes.includes(sampler))
    throw refused(sampler, "its times are those of a whole run; 'scheduler' knows others");
  const tStart = schedule.continuous().timeOfLogSnr(Math.log(start.alpha / start.sigma));
  const program = make(schedule, { ...options, steps: steps - skipped, tStart });
  if (program.kind === 'host') throw refused(sampler, 'it chooses its steps while it runs');
  return { program, start };
}
