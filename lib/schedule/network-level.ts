import type { Amplitudes } from './noise-level.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Halvings of an interval of times: as many as a number has bits. */
const HALVINGS = 60;

/** The amplitudes of the state whose time a network is told, from the cleanest of a schedule's times to the noisiest. */
export function amplitudesOfNetworkTime(schedule: NoiseSchedule, networkTime: number): Amplitudes {
  const continuous = schedule.continuous();
  let [low, high] = [continuous.cleanest, continuous.greatestTime];
  const rises = continuous.networkTime(high) > continuous.networkTime(continuous.cleanest);
  for (let i = 0; i < HALVINGS; ++i) {
    const middle = (low + high) / 2;
    if (continuous.networkTime(middle) < networkTime === rises) low = middle;
    else high = middle;
  }
  return { alpha: Math.sqrt(continuous.alphaBar(high)), sigma: Math.sqrt(continuous.betaBar(high)) };
}
