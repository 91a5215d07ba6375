import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import { noised } from '../schedule/noise-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Constraint } from './guide.js';

/** Makes a mask of every sample, [N, H, W], from one of all or of each. */
function masksOf(mask: Float32Array, count: number, pixels: number): (sample: number) => Float32Array {
  if (mask.length === pixels) return () => mask;
  if (mask.length === count * pixels) return (sample) => mask.subarray(sample * pixels, (sample + 1) * pixels);
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `the mask has ${mask.length} elements, it has to be one of ${pixels} pixels or one for each of ${count} images`,
  );
}

/**
 * Makes a constraint that keeps the masked parts of samples those of sources, as noisy as the state, by the same noise always.
 *
 * @param sources - Images, or latents, [N, C, H, W].
 * @param mask - Share of the source in each pixel, [H, W] or [N, H, W]: 1 keeps it, 0 lets it change.
 * @returns Constraint for noise of the sources, of their shape.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if the mask fits neither one image nor all.
 */
export function keepParts(
  { schedule, sampleShape }: { schedule: NoiseSchedule; sampleShape: readonly [number, number, number] },
  sources: Float32Array,
  mask: Float32Array,
): (noise: Float32Array) => Constraint {
  const [channels, height, width] = sampleShape;
  const pixels = height * width;
  const elements = channels * pixels;
  const maskOf = masksOf(mask, sources.length / elements, pixels);
  return (noise) =>
    (x, { first, nextTime }) => {
      const level = nextTime === null ? { alpha: 1, sigma: 0 } : amplitudesOfNetworkTime(schedule, nextTime);
      const [from, to] = [first * elements, first * elements + x.length];
      const kept = noised(sources.subarray(from, to), noise.subarray(from, to), level);
      return x.map((value, i) => {
        const share = at(maskOf(first + Math.floor(i / elements)), i % pixels);
        return value + share * (at(kept, i) - value);
      });
    };
}
