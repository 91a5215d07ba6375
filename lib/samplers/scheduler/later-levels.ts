// Levels of a scheduler's run that begins later, as image to image does.
import { DpmError } from '../../base/errors.js';
import type { GivenLevel } from '../../schedule/noise-level.js';
import type { SchedulerFields } from './fields.js';

type Levels = readonly GivenLevel[];

/**
 * Counts the steps that a strength leaves out, as diffusers rounds them.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if none is left.
 */
export function skippedSteps(steps: number, strength: number): number {
  const kept = Math.min(Math.floor(steps * strength), steps);
  if (kept >= 1) return steps - kept;
  throw new DpmError('ERR_DPM_ARGUMENT', `strength ${strength} of ${steps} steps leaves none: give more of either`);
}

/**
 * Lists PLMS's levels from a later one on. It begins there as at the first: the second evaluation completes the first step.
 * (diffusers leaves entries out of a list in which that evaluation is a repeated time, and so loses the repeat.)
 */
function laterPlms(levels: Levels, skipped: number): Levels {
  const [first, ...rest] = levels.slice(skipped + 1);
  const [next] = rest;
  if (first === undefined || next?.time === undefined) return levels.slice(skipped + 1);
  const { alpha, sigma } = next;
  return [first, { alpha: first.alpha, sigma: first.sigma, time: next.time, to: { alpha, sigma } }, ...rest];
}

/**
 * Leaves out the first steps of a run.
 *
 * @param sampler - Name of the sampler that takes the levels.
 * @param skipped - Number of steps that are left out.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for PNDM's steps of Runge and Kutta, which can only begin a whole run.
 */
export function laterLevels({ config }: SchedulerFields, sampler: string, levels: Levels, skipped: number): Levels {
  if (skipped === 0) return levels;
  switch (sampler) {
    case 'pndm':
      throw config.unsupported('skip_prk_steps', 'true for a run that begins with a picture');
    case 'plms':
      return laterPlms(levels, skipped);
    case 'kdpm2':
      // A midpoint follows every level.
      return levels.slice(2 * skipped);
    default:
      return levels.slice(Math.min(skipped, levels.length - 2));
  }
}
