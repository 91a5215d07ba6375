import { stat } from 'node:fs/promises';
import { extname } from 'node:path';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { checkOptions, kinds, requireKind } from '../../base/option-kinds.js';
import { fileError, filesIn, shownPath } from '../../files/files.js';
import { floatsOf } from '../../files/floats.js';
import { readSafetensorsHeader, readTensorBytes, requireTensor } from '../../files/safetensors.js';
import { readFloats } from '../../files/tensor-data.js';
import { cifarFilesOf, readCifar } from './cifar.js';
import { isIdxName, readIdx } from './idx.js';
import { checkedLabels, fingerprintOf, wrongShape, type DataImages } from './images-in-memory.js';
import { readNpz } from './npz.js';
import { openImagesDefaults, openImagesOptionKinds, type OpenImagesOptions } from './options.js';
import { isParquetName, parquetFilesOf, readParquet } from './parquet/read-parquet.js';
import { isPictureName, picturesOfFolder } from './picture-folder.js';
import { picturesInFiles, readPictures } from './read-pictures.js';
import { nearestLevel, resizedImage } from './resize.js';

/** Images to train with, all in memory. */
export interface OpenedImages {
  /** Levels 0..255, or values in model space, [count, C, H, W] row-major. */
  readonly images: Uint8Array | Float32Array;
  /** Class of each image; null: the data have none. */
  readonly labels: Int32Array | null;
  /** Shape of `images`. */
  readonly shape: readonly [count: number, channels: number, height: number, width: number];
  /** Hash of shape, labels and 64 of the images, in hexadecimal: other data have another one. */
  readonly fingerprint: string;
  /** Number of pictures left out as they cannot be read. */
  readonly broken: number;
}

/** A file of safetensors: `images` [N, C, H, W] as U8 or F32 and, if it is there, `labels` [N]. */
async function readTensors(path: string): Promise<DataImages> {
  const header = await readSafetensorsHeader(path);
  const { dtype, shape } = requireTensor(header, 'images');
  const [count = 0, channels = 0, height = 0, width = 0] = shape;
  if (shape.length !== 4) throw wrongShape(path, shape, '[N, C, H, W]');
  if (dtype !== 'U8' && dtype !== 'F32') {
    throw new DpmError('ERR_DPM_TENSOR_DTYPE', `${path}: tensor 'images' is ${dtype}, it has to be U8 or F32`);
  }
  requireMemory(`${path}: images`, elementCount(shape), dtype === 'U8' ? 1 : 4);
  const { bytes } = await readTensorBytes(header, 'images');
  const labels = header.tensors.has('labels') ? await readFloats(header, 'labels', ['U8', 'I32', 'I64']) : null;
  return {
    images: dtype === 'U8' ? bytes : floatsOf(dtype, bytes, elementCount(shape)),
    labels: labels === null ? null : checkedLabels(`${path}: labels`, labels.data, count),
    shape: [count, channels, height, width],
  };
}

/** Brings all images of a file to the sides of the network. */
function withSides(data: DataImages, [, height, width]: readonly number[]): DataImages {
  const { images, shape } = data;
  const [count, channels, fromHeight, fromWidth] = shape;
  const [toHeight, toWidth] = [height ?? fromHeight, width ?? fromWidth];
  const [from, to] = [channels * fromHeight * fromWidth, channels * toHeight * toWidth];
  requireMemory(`${count} images`, count * to, images.BYTES_PER_ELEMENT);
  const isLevels = images instanceof Uint8Array;
  const resized = isLevels ? new Uint8Array(count * to) : new Float32Array(count * to);
  for (let i = 0; i < count; ++i) {
    const own = Float32Array.from(images.subarray(i * from, (i + 1) * from));
    const image = resizedImage(own, [channels, fromHeight, fromWidth], [toHeight, toWidth]);
    resized.set(isLevels ? image.map(nearestLevel) : image, i * to);
  }
  return { ...data, images: resized, shape: [count, channels, toHeight, toWidth] };
}

/** Checks the shape of a file's images against that of the network, and resizes them if that is asked. */
function fitted(path: string, data: DataImages, { shape, resize }: OpenImagesOptions): DataImages {
  const [count, ...sample] = data.shape;
  if (count < 1 || sample.some((size) => size < 1)) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: images is [${data.shape.join(', ')}], there are none`);
  }
  if (shape === undefined || sample.join() === shape.join()) return data;
  if (resize === true && sample[0] === shape[0]) return withSides(data, shape);
  throw wrongShape(
    path,
    data.shape,
    `[N, ${shape.join(', ')}]${sample[0] === shape[0] ? '; resize brings it there' : ''}`,
  );
}

async function readFile(path: string): Promise<DataImages> {
  const ending = extname(path).toLowerCase();
  if (ending === '.npz') return readNpz(path);
  if (ending === '.safetensors') return readTensors(path);
  if (ending === '.bin') return readCifar([path]);
  if (isIdxName(path)) return readIdx(path);
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `${path} is no data that can be read, which is a folder of PNG or JPEG files, .safetensors, .npz, .parquet, CIFAR's .bin or IDX (…-idx3-ubyte, …-idx3-ubyte.gz, ….idx)`,
  );
}

/** Reads a folder by the names in it: pictures, whatever lies beside them, files of Parquet or of CIFAR, or folders of pictures. */
async function readFolder(path: string, options: OpenImagesOptions): Promise<DataImages & { broken: number }> {
  const hasPictures = (await filesIn(path)).some((file) => isPictureName(shownPath(file)));
  const rows = hasPictures ? [] : await parquetFilesOf(path);
  if (rows.length > 0) return readParquet(rows, options);
  const records = hasPictures ? [] : await cifarFilesOf(path);
  if (records.length > 0) return { ...fitted(path, await readCifar(records), options), broken: 0 };
  const { labels = openImagesDefaults.labels } = options;
  return readPictures(picturesInFiles(await picturesOfFolder(path, labels)), options);
}

/** Reads a folder, or one file. */
async function readData(path: string, options: OpenImagesOptions): Promise<DataImages & { broken: number }> {
  const found = await stat(path).catch((cause: unknown) => {
    throw fileError('open', path, cause);
  });
  if (found.isDirectory()) return readFolder(path, options);
  if (isParquetName(path)) return readParquet([path], options);
  return { ...fitted(path, await readFile(path), options), broken: 0 };
}

/**
 * Opens images to train with: a folder of PNG and JPEG files, whose folders are classes, a file of safetensors (`images`, `labels`),
 * of NumPy (`.npz`), or of IDX with its labels beside it; binary batches of CIFAR-10 and CIFAR-100 (`.bin`, whose fine
 * labels are the classes), of a folder those to train with; Parquet files or a folder of them, with a column of PNG or JPEG files,
 * as data sets of Hugging Face are stored. Levels stay bytes; values of float32 are taken as model space.
 *
 * JPEG may be baseline or progressive, grey or of colours; its pixels are those that PIL reads, as they are stored: an
 * orientation in EXIF is not looked at. CMYK, 12 bits, lossless and arithmetic coding are not read.
 *
 * Parquet that is compressed by Snappy, Zstandard or LZ4 takes the package `hyparquet-compressors`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a wrong option or kind of file; `ERR_DPM_TENSOR_SHAPE` naming the file if
 * images have another shape; `ERR_DPM_FILE*`, `ERR_DPM_TENSOR_*` and `ERR_DPM_UNSUPPORTED` naming the file for one that
 * cannot be read; `ERR_DPM_OUT_OF_MEMORY` before memory is allocated; `ERR_DPM_ABORTED`.
 */
export async function openImages(path: string, options: OpenImagesOptions = {}): Promise<OpenedImages> {
  requireKind('the path', path, kinds.string);
  checkOptions('openImages', options, openImagesOptionKinds);
  const own = { ...options, shape: options.shape && ([...options.shape] as const) };
  const data = await readData(path, own);
  const { images, shape, broken } = data;
  const labels = own.labels === false ? null : data.labels;
  return { images, labels, shape, fingerprint: fingerprintOf({ images, labels, shape }), broken };
}
