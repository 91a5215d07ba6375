import { elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { either, instanceOf, kinds, requireKind } from '../base/option-kinds.js';
import type { PixelRange } from '../base/pixel-range.js';
import { ImageBatch } from './image-batch.js';

/** Images [N, C, H, W]: their values in model space, or a batch of them. */
export type GivenImages = Float32Array | ImageBatch;

/** What {@link GivenImages} may be. */
export const givenImages = either(kinds.floats, instanceOf('an ImageBatch', ImageBatch));

/**
 * Values of images in a model's space; those of a batch whose black and white are others are mapped to it.
 *
 * @param name - What the images are called in an error.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for what is no images, `ERR_DPM_TENSOR_SHAPE` for a batch of images of another shape.
 */
export function valuesOf(
  name: string,
  images: GivenImages,
  { sampleShape, range }: { readonly sampleShape: readonly number[]; readonly range: PixelRange },
): Float32Array {
  requireKind(name, images, givenImages);
  if (!(images instanceof ImageBatch)) return images;
  if (images.shape.slice(1).join() !== sampleShape.join()) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${name} are [${images.shape.join(', ')}], they have to be [N, ${sampleShape.join(', ')}]`,
    );
  }
  const [[black, white], [from, to]] = [range, images.range];
  if (black === from && white === to) return images.data;
  const scale = (white - black) / (to - from);
  return images.data.map((value) => black + scale * (value - from));
}

/** A batch of images like another one's. @throws {@link DpmError} as {@link valuesOf} does, and when values are not as many. */
export function batchLike(name: string, images: GivenImages, { shape, range }: ImageBatch): ImageBatch {
  requireKind(name, images, givenImages);
  if (images instanceof ImageBatch) return images;
  if (images.length !== elementCount(shape)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${name} have ${images.length} values, they have to be [${shape.join(', ')}]`,
    );
  }
  return new ImageBatch(images, shape, range);
}
