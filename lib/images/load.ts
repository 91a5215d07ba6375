import { stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';

import { at, elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { centredRange, valueOfLevel, type PixelRange } from '../base/pixel-range.js';
import { filesIn, shownPath, type FilePath } from '../files/files.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readFloats } from '../files/tensor-data.js';
import { encodedPicture, readPictureFile } from './encoded-picture.js';
import { JpegCodec } from './jpeg/codec.js';
import type { ImageShape } from './layout.js';
import { readPng } from './read-png.js';

/** Required shape and range of images; a model or a classifier has both. */
export interface ImagesTaken {
  /** Shape [C, H, W] of one image. Default: that of the file, for several that of the first one. */
  readonly sampleShape?: readonly number[] | undefined;
  /** The values of black and white. Default -1 and 1. */
  readonly range?: PixelRange | undefined;
}

/** Images in model space. */
export interface NamedImages {
  /** Shape [N, C, H, W]. */
  shape: ImageShape;
  /** Values, row-major. */
  images: Float32Array;
  /** Names of the files of pictures. */
  names: readonly string[] | null;
}

function misfit(path: string, shape: readonly number[], expected: string): DpmError {
  return new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: images is [${shape.join(', ')}], it has to be [N, ${expected}]`,
  );
}

/** The tensor `images` of a data set: float32 as it is, 0..255 mapped to the values of black to white. */
async function readDataSet(path: string, { sampleShape, range = centredRange }: ImagesTaken): Promise<NamedImages> {
  const header = await readSafetensorsHeader(path);
  const { shape, dtype, data } = await readFloats(header, 'images', ['U8', 'F32']);
  const [n, c, h, w] = shape;
  if (n === undefined || c === undefined || h === undefined || w === undefined || shape.length !== 4) {
    throw misfit(path, shape, 'C, H, W');
  }
  if (sampleShape !== undefined && [c, h, w].join() !== sampleShape.join()) {
    throw misfit(path, shape, sampleShape.join(', '));
  }
  const images = dtype === 'U8' ? data.map((level) => valueOfLevel(level, range)) : data;
  return { shape: [n, c, h, w], images, names: null };
}

const nameOf = (file: FilePath): string => basename(shownPath(file));

/** Endings of files of pictures, and of those that are known not to be read. */
const PICTURES: readonly string[] = ['.png', '.jpg', '.jpeg'];
const OTHERS: readonly string[] = ['.webp', '.gif', '.avif', '.bmp', '.tiff'];

const endingOf = (file: FilePath): string => extname(nameOf(file)).toLowerCase();

/** The PNG and JPEG files of a folder, by name. */
async function picturesOf(folder: string): Promise<FilePath[]> {
  const files = (await filesIn(folder)).filter((file) => !nameOf(file).startsWith('.'));
  const other = files.find((file) => OTHERS.includes(endingOf(file)));
  if (other !== undefined) {
    throw new DpmError('ERR_DPM_FILE', `${shownPath(other)}: only PNG and JPEG files are read`);
  }
  const pictures = files.filter((file) => PICTURES.includes(endingOf(file)));
  if (pictures.length === 0) throw new DpmError('ERR_DPM_FILE', `${folder} has no PNG or JPEG files`);
  const twice = pictures.find((file, i) => i > 0 && shownPath(file) === shownPath(at(pictures, i - 1)));
  if (twice !== undefined) throw new DpmError('ERR_DPM_FILE', `${shownPath(twice)}: two files have this name`);
  return pictures;
}

/** Finds pictures: one, or those of a folder. Null for a data set. */
async function picturePaths(path: string): Promise<FilePath[] | null> {
  if (PICTURES.includes(extname(path).toLowerCase())) return [path];
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true ? picturesOf(path) : null;
}

async function readPictures(paths: readonly FilePath[], taken: ImagesTaken): Promise<NamedImages> {
  const { range = centredRange } = taken;
  const codec = new JpegCodec();
  const pictures = paths.map((path) => encodedPicture(shownPath(path), null, () => readPictureFile(path), codec));
  const [c, h, w] = (taken.sampleShape ?? (await at(pictures, 0).shape())) as [number, number, number];
  const elements = elementCount([c, h, w]);
  requireMemory(`${paths.length} pictures`, paths.length * elements, Float32Array.BYTES_PER_ELEMENT);
  const images = new Float32Array(paths.length * elements);
  for (const [index, picture] of pictures.entries()) {
    const levels = await picture.levels([c, h, w]);
    images.set(
      levels.map((level) => valueOfLevel(level, range)),
      index * elements,
    );
  }
  return { shape: [paths.length, c, h, w], images, names: paths.map(nameOf) };
}

/**
 * Reads the images of a data set, a picture or a folder of pictures, in model space; pictures with their names.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the file if they have another shape, `ERR_DPM_FILE` if it cannot be
 * read.
 */
export async function readNamedImages(path: string, taken: ImagesTaken): Promise<NamedImages> {
  const pictures = await picturePaths(path);
  return pictures === null ? readDataSet(path, taken) : readPictures(pictures, taken);
}

/**
 * Reads a mask of kept pixels, [H, W]: in a picture's grey levels white is 1 and black 0.
 *
 * @throws {@link DpmError} The errors of {@link readNamedImages}.
 */
export async function readMask(path: string, sampleShape: readonly number[]): Promise<Float32Array> {
  if (extname(path).toLowerCase() !== '.png') {
    throw new DpmError('ERR_DPM_ARGUMENT', `the mask ${path} has to be a .png file`);
  }
  const levels = await readPng(path, [1, at(sampleShape, 1), at(sampleShape, 2)]);
  return levels.map((level) => level / 255);
}
