import { DpmError } from '../errors.js';

/** Farthest a value may lie from the grid of 8 bits, in model space: what float32 rounds. */
const tolerance = 1e-4;

/**
 * Checks that images lie on the grid of 8 bits, 2 u / 255 - 1 for u = 0..255.
 *
 * @param images - In model space, back to back.
 * @param elements - Of one image.
 * @param indices - The images to check; by default all.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the image.
 */
export function checkGrid(images: Float32Array, elements: number, indices?: readonly number[]): void {
  for (const index of indices ?? Array(images.length / elements).keys()) {
    for (const value of images.subarray(index * elements, (index + 1) * elements)) {
      const level = Math.min(Math.max(Math.round(127.5 * (value + 1)), 0), 255);
      if (!(Math.abs(level / 127.5 - 1 - value) <= tolerance)) {
        throw new DpmError(
          'ERR_DPM_ARGUMENT',
          `image ${index} holds ${value}, which is no 8-bit value 2 u / 255 - 1: likelihoods are those of 8-bit images`,
        );
      }
    }
  }
}
