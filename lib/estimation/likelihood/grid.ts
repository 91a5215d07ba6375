import { DpmError } from '../../base/errors.js';
import { levelsPerUnit, valueOfLevel, type PixelRange } from '../../base/pixel-range.js';

/** Farthest a value may lie from the grid of 8 bits, in model space: what float32 rounds. */
const tolerance = 1e-4;

/**
 * Checks that images lie on the grid of 8 bits, 2 u / 255 - 1 in [-1, 1], for u = 0..255.
 *
 * @param images - In model space, back to back.
 * @param elements - Of one image.
 * @param range - The interval of the data.
 * @param indices - The images to check; by default all.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the image.
 */
export function checkGrid(
  images: Float32Array,
  elements: number,
  range: PixelRange,
  indices?: readonly number[],
): void {
  const [black, white] = range;
  const scale = levelsPerUnit(range);
  for (const index of indices ?? Array(images.length / elements).keys()) {
    for (const value of images.subarray(index * elements, (index + 1) * elements)) {
      const level = Math.min(Math.max(Math.round(scale * (value - black)), 0), 255);
      if (!(Math.abs(valueOfLevel(level, range) - value) <= tolerance)) {
        throw new DpmError(
          'ERR_DPM_ARGUMENT',
          `image ${index} holds ${value}, which is no 8-bit value from ${black} to ${white}: likelihoods are those of 8-bit images`,
        );
      }
    }
  }
}
