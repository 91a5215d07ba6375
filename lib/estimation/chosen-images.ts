import { at, elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { PixelRange } from '../base/pixel-range.js';
import { drawWithoutReplacement } from '../base/random.js';
import { valuesOf, type GivenImages } from '../images/given-images.js';
import { estimateDefaults } from './options.js';

/** Shape of a model's images, and the schedule that knows their range. */
export interface ImageSpace {
  readonly sampleShape: readonly number[];
  readonly schedule: { readonly defaults: { readonly dataRange: PixelRange } };
}

/**
 * Counts the images of `images`.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if that is no whole number, `ERR_DPM_ARGUMENT` for wrong counts.
 */
export function checkedImageCount(
  model: Pick<ImageSpace, 'sampleShape'>,
  images: Float32Array,
  samples: number | undefined,
  classLabels?: ArrayLike<number>,
): number {
  const count = images.length / elementCount(model.sampleShape);
  if (!Number.isInteger(count) || count < 1) {
    const shape = model.sampleShape.join(', ');
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `images has ${images.length} elements, it has to be [N, ${shape}] with at least one image`,
    );
  }
  if (samples !== undefined && (!Number.isInteger(samples) || samples < 1 || samples > count)) {
    throw wrongValue('samples', samples, `an integer from 1 to the ${count} images`);
  }
  if (classLabels !== undefined && classLabels.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `classLabels has ${classLabels.length} labels for ${count} images`);
  }
  return count;
}

/**
 * Gives images in a model's space.
 *
 * @throws {@link DpmError} The errors of {@link valuesOf}.
 */
export function valuesFor({ sampleShape, schedule }: ImageSpace, given: GivenImages): Float32Array {
  return valuesOf('images', given, { sampleShape, range: schedule.defaults.dataRange });
}

/** Images drawn from a caller's data, copied as the data may change once the call has returned. */
export interface ChosenImages {
  /** Indices of the images in the data. */
  indices: readonly number[];
  /** Images [indices.length, C, H, W]. */
  data: Float32Array;
  /** Labels, one per image, for a class-conditional network. */
  labels: readonly number[] | undefined;
}

/** Options of the choice of images. */
export interface ChoiceOfImages {
  /** Number of images. Default: all. */
  samples?: number | undefined;
  /** Default 0. */
  seed?: number | bigint | undefined;
  /** Labels, one per image of the data. */
  classLabels?: ArrayLike<number> | undefined;
}

/**
 * Draws images without replacement, by default all in another order.
 *
 * @throws {@link DpmError} The errors of {@link valuesFor} and {@link checkedImageCount}.
 */
export function chooseImages(model: ImageSpace, given: GivenImages, options: ChoiceOfImages): ChosenImages {
  const { samples, seed = estimateDefaults.seed, classLabels } = options;
  const images = valuesFor(model, given);
  const count = checkedImageCount(model, images, samples, classLabels);
  const indices = drawWithoutReplacement(count, samples ?? count, seed);
  const elements = elementCount(model.sampleShape);
  const data = new Float32Array(indices.length * elements);
  indices.forEach((index, i) => {
    data.set(images.subarray(index * elements, (index + 1) * elements), i * elements);
  });
  return { indices, data, labels: classLabels && indices.map((index) => at(classLabels, index)) };
}

/** Takes at most so many images, from one on; their data share the memory. */
export function partOfChosen({ indices, data, labels }: ChosenImages, first: number, count: number): ChosenImages {
  const elements = data.length / indices.length;
  return {
    indices: indices.slice(first, first + count),
    data: data.subarray(first * elements, (first + count) * elements),
    labels: labels?.slice(first, first + count),
  };
}
