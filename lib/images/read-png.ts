import { inflateSync } from 'node:zlib';

import { decode } from 'fast-png';

import { at } from '../base/arrays.js';
import { readExactly, shownPath, withFile, type FilePath } from '../files/files.js';
import { MOST_SIDE } from './layout.js';
import { requireColours, requireSides, wrongPicture } from './picture-fit.js';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Number of bytes of a chunk beside its data: length, name and checksum. */
const CHUNK_BYTES = 12;

/** Names of the needed chunks. All others, profiles and texts, are ignored, as they may become huge when unpacked. */
const essential = ['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND'];

/** Maximum number of bytes of a file beside its pixels. */
const MOST_BESIDE = 1 << 20;

/** Number of bytes of the first chunk's data. */
const HEADER_BYTES = 13;

/** Number of channels of a PNG's pixels. */
type Channels = 1 | 2 | 3 | 4;

/** Pixels of a PNG, [H, W, channels], 0..255. */
interface Pixels {
  channels: Channels;
  levels: Float32Array;
}

/** Computes the maximum unpacked size: 16 bits of four channels, and a byte per row and pass of interlacing. */
function mostBytes(height: number, width: number): number {
  return 8 * height * width + 7 * (height + 1);
}

interface Chunk {
  name: string;
  data: Uint8Array;
  /** Chunk with its length, name and checksum. */
  whole: Uint8Array;
}

/** The chunks of a file, in order; none of them larger than the rest of it. */
function* chunksOf(path: string, bytes: Uint8Array): Generator<Chunk> {
  if (!isPng(bytes)) throw wrongPicture(path, 'this is no PNG');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let position = SIGNATURE.length; position < bytes.length;) {
    const rest = bytes.length - position;
    const length = rest < CHUNK_BYTES ? rest : view.getUint32(position);
    if (length > rest - CHUNK_BYTES) throw wrongPicture(path, 'the PNG is cut off');
    const whole = bytes.subarray(position, position + CHUNK_BYTES + length);
    const name = String.fromCharCode(...whole.subarray(4, 8));
    yield { name, data: whole.subarray(8, 8 + length), whole };
    if (name === 'IEND') return;
    position += whole.length;
  }
}

/** Number of channels of each accepted colour type: grey, RGB, and both with opacity. */
const channelsOfType = new Map([
  [0, 1],
  [2, 3],
  [4, 2],
  [6, 4],
]);

/** First column and row, and the distance between them, of the seven passes of an interlaced image (PNG 8.2). */
const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

interface Header {
  depth: number;
  channels: number;
  interlaced: boolean;
}

/** Reads the fields of the first chunk, before memory for the pixels is allocated; no channels for a palette. */
function fieldsOf(path: string, first: Chunk | undefined) {
  if (first?.name !== 'IHDR' || first.data.length !== HEADER_BYTES) {
    throw wrongPicture(path, 'the PNG does not begin with its sides');
  }
  const view = new DataView(first.data.buffer, first.data.byteOffset, first.data.byteLength);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: view.getUint8(8),
    channels: channelsOfType.get(view.getUint8(9)),
    interlaced: view.getUint8(12) !== 0,
  };
}

function headerOf(path: string, first: Chunk, height: number, width: number): Header {
  const { width: itsWidth, height: itsHeight, depth, channels, interlaced } = fieldsOf(path, first);
  requireSides(path, [itsHeight, itsWidth], [height, width]);
  if (channels === undefined || (depth !== 8 && depth !== 16)) {
    throw wrongPicture(path, 'the PNG has a palette or less than 8 bits; save it as grey or RGB of 8 bits');
  }
  return { depth, channels, interlaced };
}

/** Counts the bytes of all rows of all passes, each with the byte of its filter. */
function bytesOfRows({ depth, channels, interlaced }: Header, height: number, width: number): number {
  const parts = interlaced ? passes : ([[0, 0, 1, 1]] as const);
  return parts.reduce((sum, [x, y, across, down]) => {
    const columns = Math.ceil((width - x) / across);
    const rows = columns > 0 ? Math.ceil((height - y) / down) : 0;
    return sum + rows * (1 + (columns * channels * depth) / 8);
  }, 0);
}

/** The file with its essential chunks alone, whose pixels are neither more nor fewer than its sides say. */
function essentialOf(path: string, bytes: Uint8Array, height: number, width: number): Uint8Array {
  const kept: Uint8Array[] = [];
  const packed: Uint8Array[] = [];
  let expected = 0;
  for (const chunk of chunksOf(path, bytes)) {
    if (kept.length === 0) expected = bytesOfRows(headerOf(path, chunk, height, width), height, width);
    else if (chunk.name === 'IHDR') throw wrongPicture(path, 'the PNG says twice what it is');
    if (chunk.name === 'IDAT') packed.push(chunk.data);
    if (essential.includes(chunk.name)) kept.push(chunk.whole);
  }
  let unpacked: number;
  try {
    unpacked = inflateSync(Buffer.concat(packed), { maxOutputLength: expected }).length;
  } catch (error) {
    throw wrongPicture(path, `the pixels of the PNG cannot be unpacked: ${messageOf(error)}`);
  }
  // The decoder would replace missing bytes by zeros.
  if (unpacked !== expected) throw wrongPicture(path, `the PNG has ${unpacked} bytes of pixels of ${expected}`);
  return Buffer.concat([Uint8Array.from(SIGNATURE), ...kept]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function decoded(path: string, bytes: Uint8Array, pixels: number): Pixels {
  let png;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw wrongPicture(path, `the PNG cannot be read: ${messageOf(error)}`);
  }
  const { data, channels, depth, transparency } = png;
  if (data.length !== pixels * channels) throw wrongPicture(path, 'the PNG has other pixels than its sides say');
  if (transparency !== undefined) throw wrongPicture(path, 'the image has a transparent colour');
  const white = 2 ** depth - 1;
  return { channels: channels as Channels, levels: new Float32Array(data).map((value) => (value / white) * 255) };
}

/** Makes levels [C, H, W] of pixels; grey ones serve for RGB, opaque ones need no fourth channel. */
function planes(path: string, { channels, levels }: Pixels, wanted: number): Float32Array {
  const pixels = levels.length / channels;
  const colours = channels > 2 ? 3 : 1;
  requireColours(path, colours, wanted);
  if (colours !== channels) {
    for (let i = channels - 1; i < levels.length; i += channels) {
      if (at(levels, i) !== 255) throw wrongPicture(path, 'the image has transparent pixels');
    }
  }
  return Float32Array.from({ length: wanted * pixels }, (_, i) => {
    const channel = colours === 1 ? 0 : Math.floor(i / pixels);
    return at(levels, (i % pixels) * channels + channel);
  });
}

/** Tells whether bytes begin as a PNG does. */
export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/** Number of bytes that say the sides of a PNG. */
const START_BYTES = SIGNATURE.length + CHUNK_BYTES + HEADER_BYTES;

/**
 * Reads the shape [C, H, W] of a PNG in memory: 1 channel of grey, 3 of colours; transparency does not count.
 *
 * @param path - Name in errors.
 * @param bytes - The PNG, or its first 33 bytes.
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file if it is no PNG that {@link readPng} reads, or has a side of more
 * than 65,535 pixels.
 */
export function shapeOfPngBytes(path: string, bytes: Uint8Array): [channels: number, height: number, width: number] {
  const [first] = chunksOf(path, bytes.subarray(0, START_BYTES));
  const { width, height, channels = 1 } = fieldsOf(path, first);
  if (Math.min(width, height) === 0 || Math.max(width, height) > MOST_SIDE) {
    throw wrongPicture(path, `the PNG says that it has ${width} x ${height} pixels`);
  }
  return [channels > 2 ? 3 : 1, height, width];
}

function requireSize(path: string, size: number, height: number, width: number): void {
  if (size <= mostBytes(height, width) + MOST_BESIDE) return;
  throw wrongPicture(path, `${size} bytes are more than a PNG of ${width} x ${height} pixels takes`);
}

/**
 * Reads levels 0..255 of a PNG in memory, as {@link readPng} those of a file.
 *
 * @param path - Name in errors.
 * @throws {@link DpmError} The errors of {@link readPng}.
 */
export function readPngBytes(
  path: string,
  bytes: Uint8Array,
  [channels = 0, height = 0, width = 0]: readonly number[],
): Float32Array {
  requireSize(path, bytes.length, height, width);
  return planes(path, decoded(path, essentialOf(path, bytes, height, width), height * width), channels);
}

/**
 * Reads how transparent the pixels of a PNG in memory are, 255 wholly; null if it has no channel of opacity.
 *
 * @param path - Name in errors.
 * @throws {@link DpmError} The errors of {@link readPng}.
 */
export function transparencyOfPngBytes(
  path: string,
  bytes: Uint8Array,
  [height, width]: readonly [height: number, width: number],
): Float32Array | null {
  requireSize(path, bytes.length, height, width);
  const { channels, levels } = decoded(path, essentialOf(path, bytes, height, width), height * width);
  if (channels % 2 === 1) return null;
  return Float32Array.from({ length: height * width }, (_, i) => 255 - at(levels, (i + 1) * channels - 1));
}

/**
 * Reads levels 0..255 of a PNG, [C, H, W]; levels of 16 bits are fractions.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file if it is no PNG, damaged, has a palette or transparent pixels,
 * `ERR_DPM_TENSOR_SHAPE` if it has other sides, or is RGB and the shape is not.
 */
export async function readPng(given: FilePath, shape: readonly number[]): Promise<Float32Array> {
  const [, height = 0, width = 0] = shape;
  const path = shownPath(given);
  return withFile(given, async (file, size) => {
    requireSize(path, size, height, width);
    return readPngBytes(path, await readExactly(file, path, 0, size), shape);
  });
}
