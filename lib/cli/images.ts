import { mkdir } from 'node:fs/promises';
import { extname, join } from 'node:path';

import { encode } from 'fast-png';

import { DpmError } from '../base/errors.js';
import type { ImageBatch } from '../base/images.js';
import { valueOfLevel, type PixelRange } from '../base/pixel-range.js';
import { writeAtomically } from '../files/files.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readFloats, writeSafetensors } from '../files/tensor-data.js';
import type { DiffusionModel } from '../model.js';

const GAP = 2;

type ImageShape = ImageBatch['shape'];

/** Checks that images can be written as a PNG. */
export function requirePngChannels([, channels]: ImageShape): void {
  if (channels !== 1 && channels !== 3) {
    throw new DpmError(
      'ERR_DPM_USAGE',
      `a PNG holds 1 or 3 channels, the samples have ${channels}; write a .safetensors file`,
    );
  }
}

/** Checks before the work that its result can be written to `path`. */
export function requireWritable(path: string, shape: ImageShape): void {
  const extension = extname(path);
  if (extension === '.safetensors') return;
  if (extension !== '.png' && extension !== '') {
    throw new DpmError('ERR_DPM_USAGE', `--out ${path} has to be a .png file, a .safetensors file or a folder`);
  }
  requirePngChannels(shape);
}

/** Grey levels of images beside each other as a PNG, in rows from the left; by default as square as possible. */
export function gridOf(
  levels: Uint8Array,
  [count, channels, height, width]: ImageShape,
  columns = Math.ceil(Math.sqrt(count)),
): Uint8Array {
  const rows = Math.ceil(count / columns);
  const gridWidth = columns * (width + GAP) - GAP;
  const gridHeight = rows * (height + GAP) - GAP;
  const data = new Uint8Array(gridWidth * gridHeight * channels);
  levels.forEach((level, i) => {
    const column = i % width;
    const row = Math.floor(i / width) % height;
    const channel = Math.floor(i / (width * height)) % channels;
    const image = Math.floor(i / (width * height * channels));
    const x = (image % columns) * (width + GAP) + column;
    const y = Math.floor(image / columns) * (height + GAP) + row;
    data[(y * gridWidth + x) * channels + channel] = level;
  });
  return encode({ width: gridWidth, height: gridHeight, data, channels, depth: 8 });
}

async function writeFolder(folder: string, images: ImageBatch): Promise<void> {
  const [count, channels, height, width] = images.shape;
  const levels = images.toUint8();
  const size = channels * height * width;
  await mkdir(folder, { recursive: true });
  for (let i = 0; i < count; ++i) {
    const png = gridOf(levels.subarray(i * size, (i + 1) * size), [1, channels, height, width]);
    await writeAtomically(join(folder, `${String(i).padStart(5, '0')}.png`), [png]);
  }
}

/** Writes images: `.png` one grid, `.safetensors` the tensor `images`, anything else a folder with one PNG per sample. */
export async function writeImages(path: string, images: ImageBatch): Promise<void> {
  switch (extname(path)) {
    case '.safetensors':
      await writeSafetensors(path, { images: { shape: [...images.shape], data: images.data } });
      return;
    case '.png':
      await writeAtomically(path, [gridOf(images.toUint8(), images.shape)]);
      return;
    default:
      await writeFolder(path, images);
  }
}

/** The name beside `path` for the state after a record. */
export function snapshotPath(path: string, record: number): string {
  const extension = extname(path);
  const suffix = `record-${String(record).padStart(4, '0')}`;
  return extension === '' ? join(path, `${suffix}.png`) : `${path.slice(0, -extension.length)}-${suffix}${extension}`;
}

/** The tensor `images` of a data set in model space: float32 as it is, 0..255 mapped to the values of black to white. */
async function readImages(path: string, range: PixelRange): Promise<{ shape: number[]; data: Float32Array }> {
  const header = await readSafetensorsHeader(path);
  const { shape, dtype, data } = await readFloats(header, 'images', ['U8', 'F32']);
  if (shape.length !== 4) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: images is [${shape.join(', ')}], it has to be [N, C, H, W]`);
  }
  return { shape, data: dtype === 'U8' ? data.map((level) => valueOfLevel(level, range)) : data };
}

/**
 * The images of a data set that have the shape of a model's samples, in model space.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the file when they have another.
 */
export async function readModelImages(path: string, { sampleShape, range }: DiffusionModel): Promise<Float32Array> {
  const { shape, data } = await readImages(path, range);
  if (shape.slice(1).join() !== sampleShape.join()) {
    const expected = sampleShape.join(', ');
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${path}: images is [${shape.join(', ')}], it has to be [N, ${expected}]`,
    );
  }
  return data;
}
