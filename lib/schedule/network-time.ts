import { unknownName } from '../checks.js';

/** The named maps from the state's time to the number that enters the network's time embedding. */
export const networkTimeNames = ['index', 'index1', 'rescaled', 'vp999', 'dpm-solver'] as const;

/**
 * The map from the state's time to the number that enters the network's time embedding: a name, or a function of the
 * time (n = 1..N on a discrete schedule, t in (0, 1] on a continuous one).
 *
 * - `index`: n - 1 (Ho et al., guided-diffusion, diffusers)
 * - `index1`: n
 * - `rescaled`: (n - 1) * 1000 / N (improved-diffusion)
 * - `vp999`: 999 t (score_sde)
 * - `dpm-solver`: 1000 (t - 1/N)
 *
 * On a discrete schedule t = n / N, on a continuous one n = t N; results are not below 0.
 */
export type NetworkTime = (typeof networkTimeNames)[number] | ((time: number) => number);

/** The function behind a {@link NetworkTime} for a network trained on `steps` times; `discrete`: the time is n. */
export function networkTimeFunction(rule: NetworkTime, steps: number, discrete: boolean): (time: number) => number {
  if (typeof rule === 'function') return rule;
  const index = discrete ? (time: number) => time : (time: number) => time * steps;
  const unit = discrete ? (time: number) => time / steps : (time: number) => time;
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
    default:
      throw unknownName('networkTime', rule, networkTimeNames);
  }
}
