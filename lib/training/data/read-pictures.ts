import { throwIfAborted } from '../../base/abort.js';
import { at, elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { shownPath, type FilePath } from '../../files/files.js';
import { readPng, shapeOfPng } from '../../images/read-png.js';
import type { DataImages } from './images-in-memory.js';
import type { OpenImagesOptions } from './options.js';
import type { PictureFolder } from './picture-folder.js';
import { nearestLevel, resizedImage } from './resize.js';

type Shape = readonly [channels: number, height: number, width: number];

/** Reads a picture as levels, of another size if it may be resized. */
async function levelsOf(picture: FilePath, shape: Shape, resize: boolean): Promise<Float32Array> {
  if (!resize) return readPng(picture, shape);
  const [, height, width] = await shapeOfPng(picture);
  const [channels, toHeight, toWidth] = shape;
  requireMemory(shownPath(picture), channels * height * width, Float32Array.BYTES_PER_ELEMENT);
  const levels = await readPng(picture, [channels, height, width]);
  if (height === toHeight && width === toWidth) return levels;
  return resizedImage(levels, [channels, height, width], [toHeight, toWidth]);
}

/** Tells whether an error says that a file is damaged, and not that it is of the wrong kind. */
function isBroken(error: unknown): boolean {
  return error instanceof DpmError && (error.code === 'ERR_DPM_FILE' || error.code === 'ERR_DPM_FILE_TRUNCATED');
}

/** Work that leaves out broken pictures if they may be. */
class Skipping {
  broken = 0;

  constructor(private readonly allowed: boolean) {}

  /** Gives null for a broken picture. */
  async tried<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!isBroken(error)) throw error;
      if (!this.allowed) {
        const { code, message } = error as DpmError;
        throw new DpmError(code, `${message} (skipBroken leaves such pictures out)`, { cause: error });
      }
      ++this.broken;
      return null;
    }
  }
}

/** The shape of the first picture that can be read. */
async function firstShape(pictures: readonly FilePath[], skipBroken: boolean): Promise<Shape> {
  const skipping = new Skipping(skipBroken);
  for (const picture of pictures) {
    const shape = await skipping.tried(() => shapeOfPng(picture));
    if (shape !== null) return shape;
  }
  throw new DpmError('ERR_DPM_FILE', `none of ${pictures.length} pictures can be read`);
}

/**
 * Reads pictures as levels of one shape.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming a broken picture, or if all are; `ERR_DPM_TENSOR_SHAPE` naming one of
 * another shape, `ERR_DPM_OUT_OF_MEMORY`, `ERR_DPM_ABORTED`.
 */
export async function readPictures(
  { pictures, labels }: PictureFolder,
  { shape, resize = false, skipBroken = false, signal, onProgress }: OpenImagesOptions,
): Promise<DataImages & { broken: number }> {
  const sample = shape ?? (await firstShape(pictures, skipBroken));
  const elements = elementCount(sample);
  requireMemory(`${pictures.length} pictures`, pictures.length * elements, 1);
  const images = new Uint8Array(pictures.length * elements);
  const kept: number[] = [];
  const skipping = new Skipping(skipBroken);
  for (const [i, picture] of pictures.entries()) {
    throwIfAborted(signal);
    const levels = await skipping.tried(() => levelsOf(picture, sample, resize));
    if (levels !== null) images.set(levels.map(nearestLevel), kept.push(i) * elements - elements);
    onProgress?.(i + 1, pictures.length);
  }
  if (kept.length === 0) throw new DpmError('ERR_DPM_FILE', `none of ${pictures.length} pictures can be read`);
  return {
    images: images.subarray(0, kept.length * elements),
    labels: labels === null ? null : Int32Array.from(kept, (i) => at(labels, i)),
    shape: [kept.length, ...sample],
    broken: skipping.broken,
  };
}
