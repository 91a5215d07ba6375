import { elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { either, instanceOf, kinds, requireKind } from '../base/option-kinds.js';
import type { PixelRange } from '../base/pixel-range.js';
import { ImageBatch } from './image-batch.js';

/** Images [N, C, H, W]: their values in model space, or a batch of them. */
export type GivenImages = Float32Array | ImageBatch;

/** Kind of {@link GivenImages}. */
export const givenImages = either(kinds.floats, instanceOf('an ImageBatch', ImageBatch));

/**
 * Gives values of images in a model's space; maps those of a batch with another black and white.
 *
 * @param name - Name of the images in an error.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no images, `ERR_DPM_TENSOR_SHAPE` for a batch of images of
 * another shape.
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

/** Gives a batch of grey levels the channels that are expected, each the same; leaves other images as they are. */
export function withGreyRepeated(images: GivenImages, channels: number): GivenImages {
  if (!(images instanceof ImageBatch)) return images;
  const [count, own, height, width] = images.shape;
  if (own !== 1 || channels === 1) return images;
  const pixels = height * width;
  const data = Float32Array.from({ length: count * channels * pixels }, (_, i) => {
    const [picture, pixel] = [Math.floor(i / (channels * pixels)), i % pixels];
    return images.data[picture * pixels + pixel] ?? NaN;
  });
  return new ImageBatch(data, [count, channels, height, width], images.range);
}

/** Makes a batch of images like another one's. @throws {@link DpmError} The errors of {@link valuesOf}. */
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
