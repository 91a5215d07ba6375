// Levels of a scheduler's run that begins later, as image to image does.
import type { GivenLevel } from '../../schedule/noise-level.js';
import type { SchedulerFields } from './fields.js';

type Levels = readonly GivenLevel[];

/** Levels that steps of a scheduler's run begin at: midpoints and PLMS's second evaluation of its first step are none. */
export function levelsOfSteps(sampler: string, levels: Levels): Levels {
  const all = levels.slice(0, -1);
  if (sampler === 'kdpm2') return all.filter((_, i) => i % 2 === 0);
  return sampler === 'plms' ? all.filter((_, i) => i !== 1) : all;
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
