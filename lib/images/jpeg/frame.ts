import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { wrongPicture } from '../picture-fit.js';

/** Codes of markers, each of which stands behind a byte 0xff (ITU T.81, table B.1). */
const [START, END, SCAN] = [0xd8, 0xd9, 0xda];

/** Maximum number of scans: encoders write about ten, and each of them is a way through all blocks of the picture. */
const MOST_SCANS = 100;

/** Maximum number of pixels: a decoder that is WebAssembly has 2 GiB for all that it makes of a picture. */
const MOST_PIXELS = 2 ** 27;

/** What a JPEG says of itself. */
export interface JpegFrame {
  readonly height: number;
  readonly width: number;
  /** 1: grey; 3: colours. */
  readonly channels: 1 | 3;
}

/** How finely a component is sampled, in comparison with the others. */
interface Sampling {
  readonly across: number;
  readonly down: number;
}

interface Segment {
  readonly marker: number;
  readonly data: Uint8Array;
}

/** Tells whether bytes begin as a JPEG does. */
export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === START;
}

/** Tells whether a code has a segment, or is the end: a zero is data, 0xff fills, restarts and 1 have nothing behind them. */
function hasSegment(code: number): boolean {
  return code > 1 && code !== 0xff && (code < 0xd0 || code > 0xd7);
}

/** Finds the next marker's code from a place on, as libjpeg does between segments and in compressed data; -1: none. */
function nextMarker(bytes: Uint8Array, from: number): number {
  for (let place = bytes.indexOf(0xff, from); place >= 0; place = bytes.indexOf(0xff, place + 1)) {
    if (hasSegment(bytes[place + 1] ?? 0)) return place + 1;
  }
  return -1;
}

/** The segments of a JPEG up to its end, none of them longer than the rest of the file. */
function* segmentsOf(path: string, bytes: Uint8Array): Generator<Segment> {
  if (!isJpeg(bytes)) throw wrongPicture(path, 'this is no JPEG');
  for (let position = 2; ;) {
    const place = nextMarker(bytes, position);
    const marker = place < 0 ? undefined : at(bytes, place);
    if (marker === END) return;
    const end = place + 1 + (bytes[place + 1] ?? 0) * 256 + (bytes[place + 2] ?? 0);
    if (marker === undefined || place + 2 >= bytes.length || end > bytes.length) {
      throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path}: the JPEG is cut off`);
    }
    yield { marker, data: bytes.subarray(place + 3, end) };
    position = end;
  }
}

/** Tells whether a marker is that of a frame: those between the first and the last that define tables are not. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xcc;
}

/** Refuses the kinds of JPEG that hardly any encoder writes, and four components, which are those of printers. */
function requireKnownKind(path: string, marker: number, precision: number, components: number): void {
  const advice = 'save it as baseline or progressive, grey or RGB of 8 bits';
  const refuse = (what: string): never => {
    throw wrongPicture(path, `the JPEG ${what}; ${advice}`);
  };
  if (marker > 0xc2) {
    if (marker % 4 === 3) refuse('is lossless');
    refuse(marker === 0xc9 || marker === 0xca ? 'is coded arithmetically' : 'is hierarchical');
  }
  if (precision !== 8) refuse(`has ${precision} bits`);
  if (components !== 1 && components !== 3) {
    refuse(`has ${components} components${components === 4 ? ', as CMYK' : ''}`);
  }
}

/** Counts the blocks of 8 x 8 values of all components. */
function blocksOf(height: number, width: number, samplings: readonly Sampling[]): number {
  const [across, down] = (['across', 'down'] as const).map((way) => Math.max(...samplings.map((own) => own[way])));
  const blocks = (side: number, own: number, most = 1): number => Math.ceil(Math.ceil((side * own) / most) / 8);
  return samplings.reduce((sum, own) => sum + blocks(width, own.across, across) * blocks(height, own.down, down), 0);
}

/** Refuses sides that so many bytes cannot hold: of each block there is one bit, if not more. */
function requireBits(path: string, size: number, frame: JpegFrame, samplings: readonly Sampling[]): void {
  const { height, width } = frame;
  if (Math.min(height, width) === 0 || height * width > MOST_PIXELS) {
    throw wrongPicture(path, `the JPEG says that it has ${width} x ${height} pixels`);
  }
  if (blocksOf(height, width, samplings) <= 8 * size) return;
  throw new DpmError(
    'ERR_DPM_FILE_TRUNCATED',
    `${path}: the JPEG says that it has ${width} x ${height} pixels, which ${size} bytes cannot hold`,
  );
}

/** Reads what a frame says (ITU T.81, B.2.2), of a file that has so many bytes. */
function readFrame(path: string, size: number, { marker, data }: Segment): JpegFrame {
  const [precision = 0, ...sides] = data.subarray(0, 5);
  const [h1 = 0, h0 = 0, w1 = 0, w0 = 0] = sides;
  const components = data[5] ?? 0;
  if (data.length !== 6 + 3 * components)
    throw wrongPicture(path, 'the JPEG has a frame that is too short or too long');
  requireKnownKind(path, marker, precision, components);
  const samplings = Array.from({ length: components }, (_, i) => {
    const both = at(data, 7 + 3 * i);
    return { across: both >> 4, down: both & 15 };
  });
  if (samplings.some(({ across, down }) => Math.min(across, down) < 1 || Math.max(across, down) > 4)) {
    throw wrongPicture(path, 'the JPEG has a component that is sampled 0 or more than 4 times');
  }
  const frame: JpegFrame = { height: h1 * 256 + h0, width: w1 * 256 + w0, channels: components === 1 ? 1 : 3 };
  requireBits(path, size, frame, samplings);
  return frame;
}

/**
 * Reads what a whole JPEG is, before memory for its pixels is allocated.
 *
 * @param path - Name in errors.
 * @throws {@link DpmError} `ERR_DPM_FILE_TRUNCATED` if it is cut off, or too short for its sides; `ERR_DPM_FILE` if it is no
 * JPEG, of a kind that is not read, or has more than 100 scans or 134,217,728 pixels.
 */
export function frameOfJpeg(path: string, bytes: Uint8Array): JpegFrame {
  let frame: JpegFrame | undefined;
  let scans = 0;
  for (const segment of segmentsOf(path, bytes)) {
    if (isFrame(segment.marker)) frame = readFrame(path, bytes.length, segment);
    if (segment.marker === SCAN && ++scans > MOST_SCANS) {
      throw wrongPicture(path, `the JPEG has more than ${MOST_SCANS} scans`);
    }
  }
  if (frame === undefined) throw wrongPicture(path, 'the JPEG has no picture');
  return frame;
}
