import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';

/** Names of the maps from the state's time to the number that enters the network's time embedding. */
export const networkTimeNames = ['index', 'index1', 'rescaled', 'vp999', 'dpm-solver', 'sigma', 'edm'] as const;

/**
 * Map from the state's time to the number that enters the network's time embedding: a name, or a function of the time
 * (n = 1..N on a discrete schedule, t in (0, 1] on a continuous one).
 *
 * - `index`: n - 1 (Ho et al., guided-diffusion, diffusers)
 * - `index1`: n
 * - `rescaled`: (n - 1) * 1000 / N (improved-diffusion)
 * - `vp999`: 999 t (score_sde)
 * - `dpm-solver`: 1000 (t - 1/N)
 * - `sigma`: the standard deviation of the noise (score_sde's VE networks), where the time is that
 * - `edm`: ln(sigma) / 4 (Karras et al. 2022), likewise
 *
 * On a discrete schedule t = n / N, on a continuous one n = t N; the first five are not below 0.
 */
export type NetworkTime = (typeof networkTimeNames)[number] | ((time: number) => number);

/** Meaning of a schedule's time: n = 1..N, t in (0, 1], or the standard deviation of the noise. */
export type TimeAxis = 'index' | 'unit' | 'sigma';

/**
 * Gives the function of a {@link NetworkTime} for a network trained on `steps` times.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a rule that has no meaning on this axis.
 */
export function networkTimeFunction(rule: NetworkTime, steps: number, axis: TimeAxis): (time: number) => number {
  if (typeof rule === 'function') return rule;
  if ((axis === 'sigma') !== (rule === 'sigma' || rule === 'edm')) {
    const which = axis === 'sigma' ? "only 'sigma' and 'edm' do" : 'only on one made by ve or edm';
    throw new DpmError('ERR_DPM_ARGUMENT', `networkTime '${rule}' has no meaning on this noise schedule, ${which}`);
  }
  const index = axis === 'index' ? (time: number) => time : (time: number) => time * steps;
  const unit = axis === 'index' ? (time: number) => time / steps : (time: number) => time;
  switch (rule) {
    case 'index':
      return (time) => Math.max(0, index(time) - 1);
    case 'index1':
      return index;
    case 'rescaled':
      return (time) => Math.max(0, ((index(time) - 1) * 1000) / steps);
    case 'vp999':
      return (time) => 999 * unit(time);
    case 'dpm-solver':
      return (time) => Math.max(0, 1000 * (unit(time) - 1 / steps));
    case 'sigma':
      return (time) => time;
    case 'edm':
      return (time) => Math.log(time) / 4;
    default:
      throw unknownName('networkTime', rule, networkTimeNames);
  }
}
