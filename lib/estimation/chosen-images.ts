import { at, elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import { drawWithoutReplacement } from '../base/random.js';
import { valuesOf, type GivenImages } from '../images/given-images.js';
import type { EstimatedModel } from './estimated-model.js';
import { runDefaults } from '../run/options.js';

/**
 * How many images `images` holds.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` when that is no whole number, `ERR_DPM_ARGUMENT` for wrong counts.
 */
export function checkedImageCount(
  model: EstimatedModel,
  images: Float32Array,
  samples: number | undefined,
  batch: number,
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
  requireKind('batch', batch, kinds.positiveInteger);
  if (classLabels !== undefined && classLabels.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `classLabels has ${classLabels.length} labels for ${count} images`);
  }
  return count;
}

/**
 * Images in a model's space.
 *
 * @throws {@link DpmError} as {@link valuesOf} does.
 */
export function valuesFor({ sampleShape, schedule }: EstimatedModel, given: GivenImages): Float32Array {
  return valuesOf('images', given, { sampleShape, range: schedule.defaults.dataRange });
}

/** Images that were drawn from a caller's data, which may change as soon as the call has returned. */
export interface ChosenImages {
  /** Which of the data they are. */
  indices: readonly number[];
  /** [indices.length, C, H, W]. */
  data: Float32Array;
  /** One per image, for a class-conditional network. */
  labels: readonly number[] | undefined;
}

/** How images are drawn. */
export interface ChoiceOfImages {
  /** How many. Default: all. */
  samples?: number | undefined;
  /** Default 0. */
  seed?: number | bigint | undefined;
  /** One label per image of the data. */
  classLabels?: ArrayLike<number> | undefined;
  /** Most images at once, which is checked alone. */
  batch?: number | undefined;
}

/**
 * Draws images without replacement, by default all in another order.
 *
 * @throws {@link DpmError} as {@link valuesFor} and {@link checkedImageCount} do.
 */
export function chooseImages(model: EstimatedModel, given: GivenImages, options: ChoiceOfImages): ChosenImages {
  const { samples, seed = runDefaults.seed, classLabels, batch = runDefaults.batch } = options;
  const images = valuesFor(model, given);
  const count = checkedImageCount(model, images, samples, batch, classLabels);
  const indices = drawWithoutReplacement(count, samples ?? count, seed);
  const elements = elementCount(model.sampleShape);
  const data = new Float32Array(indices.length * elements);
  indices.forEach((index, i) => {
    data.set(images.subarray(index * elements, (index + 1) * elements), i * elements);
  });
  return { indices, data, labels: classLabels && indices.map((index) => at(classLabels, index)) };
}

/** At most so many of them, from one on; their data share the memory. */
export function partOfChosen({ indices, data, labels }: ChosenImages, first: number, count: number): ChosenImages {
  const elements = data.length / indices.length;
  return {
    indices: indices.slice(first, first + count),
    data: data.subarray(first * elements, (first + count) * elements),
    labels: labels?.slice(first, first + count),
  };
}
