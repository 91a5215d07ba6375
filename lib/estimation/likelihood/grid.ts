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
 * @param names - What the images are called in an error; by default their places.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the image.
 */
export function checkGrid(images: Float32Array, elements: number, range: PixelRange, names?: readonly number[]): void {
  const [black, white] = range;
  const scale = levelsPerUnit(range);
  images.forEach((value, i) => {
    const level = Math.min(Math.max(Math.round(scale * (value - black)), 0), 255);
    if (Math.abs(valueOfLevel(level, range) - value) <= tolerance) return;
    const place = Math.floor(i / elements);
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `image ${names?.[place] ?? place} holds ${value}, which is no 8-bit value from ${black} to ${white}: likelihoods are those of 8-bit images`,
    );
  });
}
