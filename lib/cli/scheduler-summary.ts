import { DpmError } from '../base/errors.js';
import type { SchedulerRun } from '../samplers/scheduler/run.js';
import { schedulerRun } from '../samplers/scheduler/scheduler.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { counted } from './output.js';

/** A scheduler file's run in one line: sampler, trajectory, options and evaluations. */
export function describeRun(run: SchedulerRun): string {
  const { levels: _, ...others } = run.options;
  const options = Object.entries(others).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return [
    `${run.scheduler} is ${run.sampler}`,
    `trajectory ${run.trajectory}`,
    ...options,
    counted(run.evaluations, 'evaluation'),
  ].join(', ');
}

/** Describes the run of a scheduler file, or why it is refused; null if a model has none. */
export function schedulerOf(schedule: NoiseSchedule, steps: number): SchedulerRun | { refused: string } | null {
  if (schedule.scheduler === null) return null;
  try {
    return schedulerRun(schedule, steps);
  } catch (error) {
    if (error instanceof DpmError) return { refused: error.message };
    throw error;
  }
}

/** The same in one line, or why there is none. */
export function schedulerLine(found: ReturnType<typeof schedulerOf>, steps: number): string {
  if (found === null) return 'no file';
  if ('refused' in found) return `cannot be run: ${found.refused}`;
  return `${describeRun(found)} for ${steps} steps`;
}
