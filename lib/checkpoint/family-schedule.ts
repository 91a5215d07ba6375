import { centredRange, unitRange } from '../base/pixel-range.js';
import type { UNetDescription } from '../network/description.js';
import type { Clip } from '../program/record.js';
import { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../schedule/schedule-options.js';

/** Options of a network's schedule: networks that centre their input themselves are of data in [0, 1]. */
export function ofNetwork(unet: UNetDescription, options: ScheduleOptions): ScheduleOptions {
  const dataRange = unet.centerInput ? unitRange : centredRange;
  return { ...options, defaults: { dataRange, ...options.defaults } };
}

/** Clips to the interval of the data, the default of the variance-preserving families. */
export function staticClip({ defaults }: ScheduleOptions): Clip {
  const [low, high] = defaults?.dataRange ?? centredRange;
  return { kind: 'static', low, high };
}

/** The numbers of times a family's configuration may name. */
export const stepRange = { least: 2, most: 1_000_000 };

/** The linear schedule of Ho et al. 2020 with the data prediction clipped. */
export function linearSchedule(options: ScheduleOptions): NoiseSchedule {
  return NoiseSchedule.linear({ ...options, defaults: { clip: staticClip(options), ...options.defaults } });
}
