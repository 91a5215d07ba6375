import type { Amplitudes } from './noise-level.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Number of halvings of an interval of times: as many as a number has bits. */
const HALVINGS = 60;

/** Finds the time of a table that has a network time, as a single float; null: it lies between them, or there is no table. */
function ownTime(schedule: NoiseSchedule, networkTime: number): number | null {
  if (!schedule.discrete) return null;
  const wanted = Math.fround(networkTime);
  const timeAt = (time: number): number => Math.fround(schedule.networkTime(time));
  const rises = timeAt(schedule.steps) > timeAt(1);
  let [low, high] = [1, schedule.steps];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (rises ? timeAt(middle) < wanted : timeAt(middle) > wanted) low = middle + 1;
    else high = middle;
  }
  return timeAt(low) === wanted ? low : null;
}

/**
 * Finds the amplitudes of the state for a network time, between the cleanest and the noisiest of a schedule's times: those of a
 * table at its own times, as the curve behind one whose betas are limited differs from it near the noise, else those of the curve.
 */
export function amplitudesOfNetworkTime(schedule: NoiseSchedule, networkTime: number): Amplitudes {
  const time = ownTime(schedule, networkTime);
  if (time !== null) return { alpha: Math.sqrt(schedule.alphaBar(time)), sigma: Math.sqrt(schedule.betaBar(time)) };
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
