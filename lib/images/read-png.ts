import { decode } from 'fast-png';

import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { readExactly, withFile } from '../files/files.js';

/** Of a PNG: signature, length and name of the first chunk, sides. */
const HEADER_BYTES = 24;
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** What a file may hold beside its pixels: profiles, texts. */
const MOST_BESIDE = 1 << 20;

/** Channels of a PNG's pixels. */
type Channels = 1 | 2 | 3 | 4;

function wrongFile(path: string, what: string): DpmError {
  return new DpmError('ERR_DPM_FILE', `${path}: ${what}`);
}

/** Pixels of a PNG, [H, W, channels], 0..255. */
interface Pixels {
  channels: Channels;
  levels: Float32Array;
}

/** Sides are known from the first bytes, before anything is made for the pixels. */
function requireSides(path: string, header: Uint8Array, height: number, width: number): void {
  if (SIGNATURE.some((byte, i) => header[i] !== byte)) throw wrongFile(path, 'this is no PNG');
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [itsWidth, itsHeight] = [view.getUint32(16), view.getUint32(20)];
  if (itsWidth === width && itsHeight === height) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${path}: the image has ${itsWidth} x ${itsHeight} pixels, it has to have ${width} x ${height}`,
  );
}

function decoded(path: string, bytes: Uint8Array, pixels: number): Pixels {
  let png;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw wrongFile(path, `the PNG cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { data, channels, depth, palette } = png;
  if (palette !== undefined || depth < 8 || data.length !== pixels * channels) {
    throw wrongFile(path, 'the PNG has a palette or less than 8 bits; save it as grey or RGB of 8 bits');
  }
  const white = 2 ** depth - 1;
  return { channels: channels as Channels, levels: Float32Array.from(data, (value) => (value / white) * 255) };
}

/** Levels [C, H, W] of pixels; grey ones serve for RGB, opaque ones need no fourth channel. */
function planes(path: string, { channels, levels }: Pixels, wanted: number): Float32Array {
  const pixels = levels.length / channels;
  const colours = channels > 2 ? 3 : 1;
  if (colours !== wanted && colours !== 1) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: the image is RGB, it has to have ${wanted} channels`);
  }
  if (colours !== channels) {
    for (let i = channels - 1; i < levels.length; i += channels) {
      if (at(levels, i) !== 255) throw wrongFile(path, 'the image has pixels that can be seen through');
    }
  }
  return Float32Array.from({ length: wanted * pixels }, (_, i) => {
    const channel = colours === 1 ? 0 : Math.floor(i / pixels);
    return at(levels, (i % pixels) * channels + channel);
  });
}

/**
 * Levels 0..255 of a PNG, [C, H, W]; of 16 bits with fractions.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file when it is no PNG, damaged, has a palette or pixels that can be seen through,
 * `ERR_DPM_TENSOR_SHAPE` when it has other sides, or is RGB where the shape is not.
 */
export async function readPng(path: string, [channels, height, width]: readonly number[]): Promise<Float32Array> {
  const [c, h, w] = [channels ?? 0, height ?? 0, width ?? 0];
  return withFile(path, async (file, size) => {
    if (size < HEADER_BYTES) throw wrongFile(path, 'this is no PNG');
    const header = await readExactly(file, path, 0, HEADER_BYTES);
    requireSides(path, header, h, w);
    // Pixels of 16 bits and four channels, and a byte a row.
    const limit = 8 * h * w + h + MOST_BESIDE;
    if (size > limit) throw wrongFile(path, `${size} bytes are more than a PNG of its size takes`);
    return planes(path, decoded(path, await readExactly(file, path, 0, size), h * w), c);
  });
}
