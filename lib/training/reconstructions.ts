import { elementCount } from '../base/arrays.js';
import { ImageBatch } from '../images/image-batch.js';
import type { Autoencoder } from '../latents/autoencoder.js';
import { centredValues } from './data/images-in-memory.js';
import type { OpenedImages } from './data/open-images.js';

/** Copies the middle of an image [C, H, W] that is larger than what is learned. */
function middleOf(image: ArrayLike<number>, [channels, height, width]: readonly number[], to: readonly number[]) {
  const [, rows = 0, columns = 0] = to;
  const [top, left] = [Math.floor(((height ?? 0) - rows) / 2), Math.floor(((width ?? 0) - columns) / 2)];
  const middle = new Float32Array((channels ?? 0) * rows * columns);
  for (let line = 0; line < (channels ?? 0) * rows; ++line) {
    const from = (Math.floor(line / rows) * (height ?? 0) + top + (line % rows)) * (width ?? 0) + left;
    for (let x = 0; x < columns; ++x) middle[line * columns + x] = image[from + x] ?? 0;
  }
  return middle;
}

/**
 * Lays images of the data beside what an autoencoder gives back of them.
 *
 * @param count - Number of images, fewer if the data have fewer.
 * @param shape - Shape [C, H, W] that the autoencoder learns, of the middle of larger images.
 */
export async function reconstructions(
  { images, shape: [all, ...whole] }: OpenedImages,
  autoencoder: Autoencoder,
  { count, shape }: { count: number; shape: readonly [number, number, number] },
): Promise<ImageBatch> {
  const number = Math.min(count, all);
  const [channels, height, width] = shape;
  const [stored, learned] = [elementCount(whole), elementCount(shape)];
  const pairs = new Float32Array(2 * number * learned);
  for (let i = 0; i < number; ++i) {
    const values = centredValues(images.subarray(i * stored, (i + 1) * stored));
    const image = middleOf(values, whole, shape);
    const { mean } = await autoencoder.encode(image, { height, width });
    pairs.set(image, 2 * i * learned);
    pairs.set(await autoencoder.decode(mean, { height, width }), (2 * i + 1) * learned);
  }
  return new ImageBatch(pairs, [2 * number, channels, height, width]);
}
