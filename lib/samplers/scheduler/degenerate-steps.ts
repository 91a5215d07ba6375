// Steps from a file's fields that its class cannot take: changed to order 1 if that is the same step, else refused with
// the name of the field.
import { at } from '../../base/arrays.js';
import { noiseRatio, type GivenLevel } from '../../schedule/noise-level.js';
import { orderOfStep } from '../families/multistep.js';
import type { SamplerOptions } from '../options.js';
import { sigmaFields, type SchedulerFields, type SigmaSpacing } from './fields.js';

/** Steps of a multistep run and their orders. */
interface MultistepRun {
  levels: readonly GivenLevel[];
  /** Spacing of levels, if not by their times. */
  sigmas: SigmaSpacing | null;
  order: number;
  lowerOrderFinal: LowerOrderFinal;
  /** Maximum order of a step of no width; higher ones divide by the width. */
  mostWithoutWidth: number;
}

type LowerOrderFinal = NonNullable<SamplerOptions['lowerOrderFinal']>;

/** Tells whether step i = 1, 2, … has any width. */
function hasWidth(levels: readonly GivenLevel[], i: number): boolean {
  return noiseRatio(at(levels, i - 1)) !== noiseRatio(at(levels, i));
}

function orderAt({ levels, order, lowerOrderFinal }: MultistepRun, i: number): number {
  const evaluations = levels.length - 1;
  return orderOfStep(i, { evaluations, toData: at(levels, evaluations).sigma === 0 }, order, lowerOrderFinal);
}

/**
 * Lowers the last orders so that no step divides by a width of 0. A last step that stays in place, as if levels are spread
 * down to the least noise, has order 1, too.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the field that makes two other levels the same.
 */
export function lowerForNoWidth({ config, schedule }: SchedulerFields, run: MultistepRun): LowerOrderFinal {
  const { levels, sigmas, order } = run;
  const steps = levels.length - 1;
  const stays = !hasWidth(levels, steps) && orderAt(run, steps) > run.mostWithoutWidth;
  const lowerOrderFinal = stays ? 'last' : run.lowerOrderFinal;
  for (let i = 1; i <= steps; ++i) {
    const own = orderAt({ ...run, lowerOrderFinal }, i);
    for (let past = i - 1; past > i - own; --past) {
      if (hasWidth(levels, past)) continue;
      const field = sigmas === null ? 'timestep_spacing' : sigmaFields[sigmas];
      const problem = `solver_order ${order} cannot go on from the same level twice`;
      throw config.error(field, `another for ${steps} steps of ${schedule.steps}: ${problem}`);
    }
  }
  return lowerOrderFinal;
}

/**
 * Refuses steps to more noise for samplers whose steps add noise of their own.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the field that makes them.
 */
export function refuseRises({ config }: SchedulerFields, levels: readonly GivenLevel[]): void {
  const index = levels.findIndex(({ rises = false }) => rises);
  if (index < 0) return;
  const atZeroSnr = index === 0 && config.boolean('rescale_betas_zero_snr', false);
  const because = 'no step that adds noise can go to a level of more';
  if (atZeroSnr) throw config.error('rescale_betas_zero_snr', `false for as many steps: ${because}`);
  throw config.error('sigma_min', `at least the least noise of the betas and below sigma_max: ${because}`);
}
