import type { Amplitudes } from './noise-level.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Number of halvings of an interval of times: as many as a number has bits. */
const HALVINGS = 60;

/** Finds the amplitudes of the state for a network time, between the cleanest and the noisiest of a schedule's times. */
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
