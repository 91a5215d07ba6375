import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { instanceOf, requireKind } from '../base/option-kinds.js';
import { batchLike, givenImages, type GivenImages } from './given-images.js';
import { ImageBatch } from './image-batch.js';

/** Distances of images from others, a number for each. */
export interface ImageComparison {
  /** Distance (Euclidean) of all values, black 0 and white 1. */
  l2: Float64Array;
  /** Signal-to-noise ratio (peak) in decibels; at most 100, for equal images. */
  psnr: Float64Array;
  /** Similarity of structure (Wang et al. 2004); at most 1, for equal images. */
  ssim: Float64Array;
}

const batchKind = instanceOf('an ImageBatch', ImageBatch);

/** Minimum error; it keeps the noise ratio of equal images finite, as in EGSDE's evaluation. */
const LEAST_ERROR = 1e-10;

/** Side of the window of SSIM; images have to be at least as large. */
export const WINDOW = 11;
/** Standard deviation of its Gaussian, in pixels. */
const DEVIATION = 1.5;

/** Constants that keep the quotients of SSIM away from 0, for values from 0 to 1. */
const STABILISERS = { mean: 0.01 ** 2, variance: 0.03 ** 2 } as const;

function gaussianWindow(): Float64Array {
  const weights = Float64Array.from({ length: WINDOW }, (_, i) =>
    Math.exp(-((i - (WINDOW - 1) / 2) ** 2) / (2 * DEVIATION ** 2)),
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

const weights = gaussianWindow();

/** Computes weighted means of all windows that lie inside a map [H, W]. */
function windowMeans(values: Float64Array, height: number, width: number): Float64Array {
  const [rows, columns] = [height - WINDOW + 1, width - WINDOW + 1];
  const along = new Float64Array(height * columns);
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < columns; ++x) {
      along[y * columns + x] = weights.reduce((sum, weight, k) => sum + weight * at(values, y * width + x + k), 0);
    }
  }
  const means = new Float64Array(rows * columns);
  for (let i = 0; i < means.length; ++i) {
    means[i] = weights.reduce((sum, weight, k) => sum + weight * at(along, i + k * columns), 0);
  }
  return means;
}

/** The mean structural similarity of two maps [H, W]. */
function mapSimilarity(a: Float64Array, b: Float64Array, height: number, width: number): number {
  const means = (values: Float64Array): Float64Array => windowMeans(values, height, width);
  const products = (left: Float64Array, right: Float64Array): Float64Array =>
    means(left.map((value, i) => value * at(right, i)));
  const [ofA, ofB] = [means(a), means(b)];
  const [ofAA, ofBB, ofAB] = [products(a, a), products(b, b), products(a, b)];
  const sum = ofA.reduce((total, meanA, i) => {
    const meanB = at(ofB, i);
    const variances = at(ofAA, i) - meanA ** 2 + (at(ofBB, i) - meanB ** 2);
    const covariance = at(ofAB, i) - meanA * meanB;
    const luminance = (2 * meanA * meanB + STABILISERS.mean) / (meanA ** 2 + meanB ** 2 + STABILISERS.mean);
    return total + (luminance * (2 * covariance + STABILISERS.variance)) / (variances + STABILISERS.variance);
  }, 0);
  return sum / ofA.length;
}

/** Converts an image as displayed to values from 0 to 1. */
function shownValues({ data, range: [black, white] }: ImageBatch): Float64Array {
  return new Float64Array(data).map((value) => Math.min(Math.max((value - black) / (white - black), 0), 1));
}

function similarityOf(a: Float64Array, b: Float64Array, [, channels, height, width]: ImageBatch['shape']): number {
  let sum = 0;
  for (let map = 0; map < a.length; map += height * width) {
    const end = map + height * width;
    sum += mapSimilarity(a.subarray(map, end), b.subarray(map, end), height, width);
  }
  return sum / channels;
}

/**
 * Compares each image with the one at its place among others, as translations are measured beside the Fréchet distance
 * (EGSDE, Zhao et al. 2022); at least one of both is a batch, which gives the shape. Structural similarity has a Gaussian
 * window of 11 x 11 with deviation 1.5 that stays inside of the image, and is the mean over channels.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for images of different shapes, `ERR_DPM_UNSUPPORTED` for a side below 11
 * pixels.
 *
 * @example
 * ```ts
 * const { l2, psnr, ssim } = compareImages(translated, sources);
 * ```
 */
export function compareImages(images: GivenImages, others: GivenImages): ImageComparison {
  const like: unknown = images instanceof ImageBatch ? images : others;
  requireKind('the images', images, givenImages);
  requireKind('one of both', like, batchKind);
  return compareBatches(
    batchLike('the images', images, like as ImageBatch),
    batchLike('the other images', others, like as ImageBatch),
  );
}

function compareBatches(images: ImageBatch, others: ImageBatch): ImageComparison {
  const { shape, count } = images;
  if (shape.join() !== others.shape.join()) {
    const shapes = `[${shape.join(', ')}] and [${others.shape.join(', ')}]`;
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `the images to compare have the shapes ${shapes}`);
  }
  const [, , height, width] = shape;
  if (Math.min(height, width) < WINDOW) {
    const sides = `${height} x ${width}`;
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `structural similarity needs ${WINDOW} pixels a side, there are ${sides}`,
    );
  }
  const result = { l2: new Float64Array(count), psnr: new Float64Array(count), ssim: new Float64Array(count) };
  for (let n = 0; n < count; ++n) {
    const [a, b] = [shownValues(images.slice(n)), shownValues(others.slice(n))];
    const squares = a.reduce((sum, value, i) => sum + (value - at(b, i)) ** 2, 0);
    result.l2[n] = Math.sqrt(squares);
    result.psnr[n] = -10 * Math.log10(squares / a.length + LEAST_ERROR);
    result.ssim[n] = similarityOf(a, b, shape);
  }
  return result;
}
