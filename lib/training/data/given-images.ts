import { elementCount } from '../../base/arrays.js';
import { wrongValue } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import { isObject, kinds, requireKind, tagOf } from '../../base/option-kinds.js';
import { pathOf } from '../../files/paths.js';
import { checkedLabels, fingerprintOf, type DataShape } from './images-in-memory.js';
import { openImages, type OpenedImages } from './open-images.js';
import type { OpenImagesOptions } from './options.js';

/** Images that are read later, by their path, or a copy of those that are in memory. */
export type GivenData = string | OpenedImages;

function checkedShape(shape: unknown, images: ArrayLike<number>): DataShape {
  requireKind('data.shape', shape, kinds.sizes);
  const sizes = shape as readonly number[];
  const isShape = sizes.length === 4 && sizes.every((size) => Number.isSafeInteger(size) && size > 0);
  if (isShape && elementCount(sizes) === images.length) return [...sizes] as unknown as DataShape;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `data.shape is [${sizes.join(', ')}], data.images has ${images.length} elements: it has to be their [N, C, H, W]`,
  );
}

/**
 * Takes the data of a call: a path, or images of which it keeps a copy, as their owner may change them while others are read.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` or `ERR_DPM_TENSOR_SHAPE` naming what is wrong.
 */
export function takenData(data: string | URL | OpenedImages): GivenData {
  const given: unknown = data;
  if (!isObject(given) || given instanceof URL) {
    return pathOf('data', given, 'a path, a file URL, or what openImages gives');
  }
  const { images, labels = null, shape, broken = 0 } = given as Partial<OpenedImages>;
  const tag = tagOf(images);
  if (images === undefined || (tag !== 'Uint8Array' && tag !== 'Float32Array')) {
    throw wrongValue('data.images', images, 'a Uint8Array of levels or a Float32Array');
  }
  const own = { images: images.slice(), shape: checkedShape(shape, images), labels: null };
  if (labels !== null) requireKind('data.labels', labels, kinds.numbers);
  const kept = { ...own, labels: labels === null ? null : checkedLabels('data.labels', labels, own.shape[0]) };
  return { ...kept, broken, fingerprint: fingerprintOf(kept) };
}

/**
 * Reads data, or checks those that are in memory.
 *
 * @throws {@link DpmError} The errors of {@link openImages}; `ERR_DPM_TENSOR_SHAPE` for images of another shape.
 */
export async function readData(data: GivenData, options: OpenImagesOptions): Promise<OpenedImages> {
  if (typeof data === 'string') return openImages(data, options);
  const { shape, resize, skipBroken, labels } = options;
  const orphan = resize === true ? 'resize' : skipBroken === true ? 'skipBroken' : undefined;
  if (orphan !== undefined)
    throw new DpmError('ERR_DPM_ARGUMENT', `${orphan} is for data that are read, not for images`);
  if (shape !== undefined && shape.join() !== data.shape.slice(1).join()) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `data.images is [${data.shape.join(', ')}], it has to be [N, ${shape.join(', ')}]`,
    );
  }
  if (labels !== false) return data;
  const { images } = data;
  return { ...data, labels: null, fingerprint: fingerprintOf({ images, labels: null, shape: data.shape }) };
}
