import { createHash } from 'node:crypto';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { centredRange, valuesOfLevels } from '../../base/pixel-range.js';

/** Shape [count, C, H, W] of images. */
export type DataShape = readonly [count: number, channels: number, height: number, width: number];

/** Images of a file or a folder, before they are those of a network. */
export interface DataImages {
  /** Levels 0..255, or values in model space, row-major. */
  images: Uint8Array | Float32Array;
  /** Class of each image; null: the data have none. */
  labels: Int32Array | null;
  shape: DataShape;
}

/** Makes the error of images that have another shape than they have to. */
export function wrongShape(path: string, shape: readonly number[], expected: string): DpmError {
  return new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: images is [${shape.join(', ')}], it has to be ${expected}`);
}

/**
 * Gives labels as they are trained with.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if there is not one per image, `ERR_DPM_ARGUMENT` for one that is no
 * integer from 0.
 */
export function checkedLabels(path: string, labels: ArrayLike<number>, count: number): Int32Array {
  if (labels.length !== count) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path} has ${labels.length} labels for ${count} images`);
  }
  const bad = Array.from(labels).find((label) => !(Number.isInteger(label) && label >= 0 && label < 2 ** 31));
  if (bad !== undefined) throw new DpmError('ERR_DPM_ARGUMENT', `${path}: the label ${bad} is no class`);
  return Int32Array.from(labels);
}

/** Number of images that a fingerprint reads. */
const IMAGES_READ = 64;

function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array | Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Tells data apart: a hash of their type and shape, of 64 images evenly among them, and of all labels, in hexadecimal. */
export function fingerprintOf({ images, labels, shape }: DataImages): string {
  const hash = createHash('sha256').update(`${images instanceof Uint8Array ? 'U8' : 'F32'} ${shape.join()}\n`);
  const [count, ...sample] = shape;
  const elements = elementCount(sample);
  const read = Math.min(count, IMAGES_READ);
  for (let i = 0; i < read; ++i) {
    const index = Math.floor((i * count) / read);
    hash.update(bytesOf(images.subarray(index * elements, (index + 1) * elements)));
  }
  if (labels !== null) hash.update(bytesOf(labels));
  return hash.digest('hex');
}

/** Gives images as values from -1 to 1; those that are values stay what they are. */
export function centredValues(images: Uint8Array | Float32Array): Float32Array {
  if (images instanceof Float32Array) return images;
  return valuesOfLevels(images, centredRange);
}
