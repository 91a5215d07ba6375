import type { FileHandle } from 'node:fs/promises';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { withFile } from '../../files/files.js';
import { findZipEnd } from '../../files/zip-end.js';
import { readEntry, readZipEntries, type ZipEntry } from '../../files/zip-entries.js';
import { checkedLabels, wrongShape, type DataImages, type DataShape } from './images-in-memory.js';
import { parseNpy, valuesOfNumpy, type NumpyArray } from './npy.js';

/** Names of images, and of the labels beside them: positional arrays of NumPy, ours, those of Keras. */
const names = [
  ['arr_0', 'arr_1'],
  ['images', 'labels'],
  ['x_train', 'y_train'],
] as const;

/** Largest number of channels of an image; more are a side of it. */
const MOST_CHANNELS = 4;

async function readArray(file: FileHandle, path: string, entry: ZipEntry): Promise<NumpyArray> {
  requireMemory(`${path}: ${entry.name}`, entry.whole, 1);
  return parseNpy(`${path}: ${entry.name}`, await readEntry(file, path, entry, entry.whole));
}

/** Moves the channels of [N, H, W, C] before the sides. */
function channelsFirst<T extends Uint8Array | Float32Array>(images: T, [count, channels, height, width]: DataShape): T {
  if (channels === 1) return images;
  const pixels = height * width;
  const moved = images.slice() as T;
  for (let image = 0; image < count; ++image) {
    const first = image * pixels * channels;
    for (let channel = 0; channel < channels; ++channel) {
      const to = first + channel * pixels;
      for (let pixel = 0; pixel < pixels; ++pixel) moved[to + pixel] = images[first + pixel * channels + channel] ?? 0;
    }
  }
  return moved;
}

/** Tells which sizes of an array are which: channels are the size of at most 4, the last one if both are. */
function layoutOf(path: string, shape: readonly number[]): { shape: DataShape; channelsLast: boolean } {
  const [count = 0, a = 0, b = 0, c = 0] = shape;
  if (shape.length === 3) return { shape: [count, 1, a, b], channelsLast: false };
  const isLast = c >= 1 && c <= MOST_CHANNELS;
  if (shape.length !== 4 || !(isLast || (a >= 1 && a <= MOST_CHANNELS))) {
    throw wrongShape(path, shape, `[N, H, W, C] or [N, C, H, W] of 1 to ${MOST_CHANNELS} channels, or [N, H, W]`);
  }
  return isLast ? { shape: [count, c, a, b], channelsLast: true } : { shape: [count, a, b, c], channelsLast: false };
}

function requireImages(where: string, { dtype }: NumpyArray): void {
  if (dtype === 'U8' || dtype.startsWith('F')) return;
  throw new DpmError('ERR_DPM_TENSOR_DTYPE', `${where}: images are ${dtype}, they have to be U8, F16, F32 or F64`);
}

/**
 * Reads a file of NumPy's format `.npz`, compressed or not: images `arr_0`, `images` or `x_train` as [N, H, W, C],
 * [N, C, H, W] (told apart by the number of channels, at most 4) or [N, H, W], with labels `arr_1`, `labels` or `y_train` if
 * they are there. Bytes are levels 0..255, others values in model space.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_FILE_HEADER`, `ERR_DPM_FILE_TRUNCATED`, `ERR_DPM_TENSOR_*`,
 * `ERR_DPM_UNSUPPORTED` or `ERR_DPM_OUT_OF_MEMORY` naming the file and the array.
 */
export async function readNpz(path: string): Promise<DataImages> {
  return withFile(path, async (file, size) => {
    const entries = await readZipEntries(file, path, await findZipEnd(file, path, size));
    const found = names.find(([images]) => entries.has(`${images}.npy`));
    const entry = entries.get(`${found?.[0] ?? ''}.npy`);
    if (found === undefined || entry === undefined) {
      const known = names.map(([images]) => images).join(', ');
      const there = [...entries.keys()].slice(0, 8).join(', ');
      throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path} has no array ${known}; it has: ${there}`);
    }
    const array = await readArray(file, path, entry);
    const where = `${path}: ${found[0]}`;
    requireImages(where, array);
    const { shape, channelsLast } = layoutOf(where, array.shape);
    const values = valuesOfNumpy(array);
    const ofLabels = entries.get(`${found[1]}.npy`);
    const labels = ofLabels === undefined ? null : await readArray(file, path, ofLabels);
    if (labels !== null && elementCount(labels.shape) !== shape[0]) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `${path}: ${found[1]} is [${labels.shape.join(', ')}] for ${shape[0]} images`,
      );
    }
    return {
      images: channelsLast ? channelsFirst(values, shape) : values,
      labels: labels === null ? null : checkedLabels(`${path}: ${found[1]}`, valuesOfNumpy(labels), shape[0]),
      shape,
    };
  });
}
