import { elementCount } from '../../base/arrays.js';
import { throwIfAborted } from '../../base/abort.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import type { Autoencoder } from '../../latents/autoencoder.js';
import { centredValues } from '../data/images-in-memory.js';
import type { OpenedImages } from '../data/open-images.js';

/** Number of images that are encoded at once. */
const IMAGES_AT_ONCE = 64;

/**
 * Encodes images whose sides the autoencoder divides, a few at a time.
 *
 * @returns Latents as the decoder takes them, [count, C, h, w].
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY`; `ERR_DPM_ABORTED`.
 */
export async function encodedImages(
  { images, shape: [count, channels, height, width] }: OpenedImages,
  autoencoder: Autoencoder,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal | undefined; onProgress?: ((done: number, total: number) => void) | undefined },
): Promise<Float32Array> {
  const { factor, latentChannels } = autoencoder;
  const sides = { height, width };
  const shape = [count, latentChannels, height / factor, width / factor] as const;
  requireMemory(`latents of ${count} images`, elementCount(shape), 4);
  const latents = new Float32Array(elementCount(shape));
  const [image, latent] = [channels * height * width, elementCount(shape.slice(1))];
  for (let first = 0; first < count; first += IMAGES_AT_ONCE) {
    throwIfAborted(signal);
    const last = Math.min(count, first + IMAGES_AT_ONCE);
    const values = centredValues(images.subarray(first * image, last * image));
    latents.set((await autoencoder.encode(values, sides)).mean, first * latent);
    onProgress?.(last, count);
  }
  return latents;
}

/** The factor, to six digits, that brings latents to a mean square of 1. */
export function measuredScale(latents: Float32Array): number {
  const square = latents.reduce((sum, value) => sum + value * value, 0) / latents.length;
  if (square > 0 && Number.isFinite(square)) return Number((1 / Math.sqrt(square)).toPrecision(6));
  throw new DpmError('ERR_DPM_NOT_FINITE', 'the latents of the images are all 0, or no numbers');
}
