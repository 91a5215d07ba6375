// Samples of a network that is a function of the state and the time.
import { samplers, type SamplerName } from '../../lib/samplers/index.js';
import type { SamplerOptions } from '../../lib/samplers/options.js';
import { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { asSteps, interpret } from './interpreter.js';

export const linear = NoiseSchedule.linear();
export const starts = Float64Array.of(-1.4, 0.3, 0.9, 2.1);
const model = { out: (x: number, t: number): number => 0.8 * x + 0.3 * Math.sin(x + t / 300) };
export const noise = (drawn: number): Float64Array => starts.map((_, i) => Math.sin(3 * drawn + i));

/** Computes the result of a sampler from the starting states. */
export function result(sampler: SamplerName, options: SamplerOptions, schedule = linear): Float64Array {
  return interpret(asSteps(samplers[sampler](schedule, options)), model, starts, noise);
}
