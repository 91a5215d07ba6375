import { setImmediate } from 'node:timers/promises';

import { at, elementCount, listNames } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import { isJsonObject } from './config-reader.js';
import { readExactly, withFile } from './files.js';
import { jsonEntries } from './parse-json.js';

/** Number of bytes per element of the known dtypes. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** The type of a tensor's elements, by the names of safetensors. All are stored with their lowest byte first. */
export type Dtype = keyof typeof dtypeBytes;

/** Place of a tensor in its file. */
export interface TensorEntry {
  /** Number format in the file. */
  dtype: Dtype;
  /** Sizes, at most 8, none for a scalar. The elements lie in C order: the last index changes first. */
  shape: number[];
  /** Offset in the file in bytes; may be odd. */
  offset: number;
  /** Number of bytes: those of an element, times all sizes. */
  bytes: number;
}

/** The checked header of a safetensors file. */
export interface SafetensorsHeader {
  /** The file. */
  path: string;
  /** Entries of `__metadata__`, in the order of the file. */
  metadata: Map<string, string>;
  /** Tensors by name, in the order of the header, which need not be that of the bytes. */
  tensors: Map<string, TensorEntry>;
}

const MAX_HEADER_BYTES = 100_000_000;
/** The largest public checkpoints have some thousands. An entry of 50 bytes takes 1 KB of memory. */
const MAX_TENSORS = 65_536;
const MAX_NAME_LENGTH = 1024;
const MAX_RANK = 8;

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
}

/** Gives advice for a file that begins as PyTorch's do; only a hint, as a header can have that length. */
function pytorchHint(start: Uint8Array): string {
  const [first = 0, second = 0] = start;
  const isZip = new TextDecoder('latin1').decode(start).startsWith('PK\x03\x04');
  const isPickle = first === 0x80 && second <= 5;
  return isZip || isPickle ? '; it looks like a PyTorch file: give it a name that ends in .bin or .pt' : '';
}

/** Names the kind of picture that a file begins as; undefined for none. */
function pictureKind(start: Uint8Array): string | undefined {
  const text = new TextDecoder('latin1').decode(start);
  if (text.startsWith('\x89PNG')) return 'PNG';
  if (text.startsWith('\xff\xd8\xff')) return 'JPEG';
  return /^RIFF|^GIF8/.test(text) ? 'WebP or GIF' : undefined;
}

/** Says why no header has that length, where the file begins as other files do. */
function refusedLength(path: string, start: Uint8Array, length: bigint): string {
  const text = new TextDecoder('latin1').decode(start);
  if (text === 'version ') return `${path} is a Git LFS pointer, not the file itself; fetch it with git lfs pull`;
  const picture = pictureKind(start);
  if (picture !== undefined) return `${path} is a picture (${picture}), not a safetensors file`;
  if (/^[\t\n\r -~]*$/.test(text)) return `${path} is a text file, not a safetensors file`;
  return `${path}: the safetensors header claims ${length} bytes, it has 2 to ${MAX_HEADER_BYTES}${pytorchHint(start)}`;
}

/** The header's length from the first 8 bytes of a file of `size` bytes. */
function headerLength(path: string, start: Uint8Array, size: number): number {
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length < 2n || length > BigInt(MAX_HEADER_BYTES)) {
    throw new DpmError('ERR_DPM_HEADER_SIZE', refusedLength(path, start, length));
  }
  if (8n + length > BigInt(size)) {
    const problem = `has ${size} bytes, its header alone needs ${8n + length}`;
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} ${problem}${pytorchHint(start)}`);
  }
  return Number(length);
}

function headerError(path: string): (problem: string, cause?: unknown) => DpmError {
  return (problem, cause) =>
    new DpmError('ERR_DPM_FILE_HEADER', `${path}: the safetensors header ${problem}`, { cause });
}

function headerText(path: string, start: Uint8Array, bytes: Uint8Array): string {
  const invalid = headerError(path);
  if (bytes[0] !== 0x7b) throw invalid(`does not start with '{'${pytorchHint(start)}`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid('is not UTF-8', cause);
  }
}

function parseMetadata(path: string, raw: unknown): Map<string, string> {
  const metadata = new Map<string, string>();
  if (raw === undefined) return metadata;
  if (!isJsonObject(raw))
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: __metadata__ is not an object of strings`);
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value !== 'string')
      throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: __metadata__ '${key.slice(0, 100)}' is not a string`);
    metadata.set(key, value);
  }
  return metadata;
}

function parseTensor(path: string, name: string, raw: unknown, dataStart: number): TensorEntry {
  const error = (
    code: 'ERR_DPM_FILE_HEADER' | 'ERR_DPM_TENSOR_DTYPE' | 'ERR_DPM_TENSOR_SHAPE' | 'ERR_DPM_TENSOR_SIZE',
    problem: string,
  ): DpmError => new DpmError(code, `${path}: tensor '${name.slice(0, 100)}' ${problem}`);
  if (name.length > MAX_NAME_LENGTH) throw error('ERR_DPM_FILE_HEADER', `has a name of ${name.length} characters`);
  if (!isJsonObject(raw)) throw error('ERR_DPM_FILE_HEADER', 'is not described by an object');
  const fields = Object.keys(raw);
  if (fields.length !== 3 || !['dtype', 'shape', 'data_offsets'].every((field) => Object.hasOwn(raw, field))) {
    throw error(
      'ERR_DPM_FILE_HEADER',
      `has the fields ${fields.slice(0, 8).join(', ').slice(0, 100)}, they have to be dtype, shape, data_offsets`,
    );
  }
  const { dtype, shape, data_offsets: offsets } = raw;
  if (!isDtype(dtype)) {
    throw error('ERR_DPM_TENSOR_DTYPE', `has dtype ${shownValue(dtype)}; known: ${Object.keys(dtypeBytes).join(', ')}`);
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isSize)) {
    throw error('ERR_DPM_TENSOR_SHAPE', `has a shape that is not at most ${MAX_RANK} sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw error('ERR_DPM_TENSOR_SIZE', 'has data_offsets that are not two byte offsets');
  }
  const [begin, end] = [at<number>(offsets, 0), at<number>(offsets, 1)];
  const bytes = shape.reduce((product, size) => product * BigInt(size), BigInt(dtypeBytes[dtype]));
  if (begin > end || bytes !== BigInt(end - begin)) {
    throw error(
      'ERR_DPM_TENSOR_SIZE',
      `of ${dtype} [${shape.join(', ')}] needs ${bytes} bytes, its data_offsets are [${begin}, ${end}]`,
    );
  }
  return { dtype, shape, offset: dataStart + begin, bytes: end - begin };
}

/** Sorts entries by their place in the file, the order of nearly every header. */
function byOffset(tensors: ReadonlyMap<string, TensorEntry>): [string, TensorEntry][] {
  const entries = [...tensors];
  const order = (a: TensorEntry, b: TensorEntry): number => a.offset - b.offset || a.bytes - b.bytes;
  const isSorted = entries.every(([, entry], i) => i === 0 || order(at(entries, i - 1)[1], entry) <= 0);
  return isSorted ? entries : entries.sort(([, a], [, b]) => order(a, b));
}

/** Tensors have to fill the data exactly, one after the other. */
function checkLayout(path: string, tensors: ReadonlyMap<string, TensorEntry>, dataStart: number, size: number): void {
  let position = dataStart;
  for (const [name, { offset, bytes }] of byOffset(tensors)) {
    if (offset !== position) {
      throw new DpmError(
        'ERR_DPM_TENSOR_OVERLAP',
        `${path}: tensor '${name.slice(0, 100)}' begins at byte ${offset}, the one before ends at ${position}`,
      );
    }
    position = offset + bytes;
  }
  if (position > size) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${size} bytes, its tensors need ${position}`);
  }
  if (position < size) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path} has ${size - position} bytes behind its last tensor`);
  }
}

/** Number of entries of a header that are read before the event loop gets a turn. */
const AT_ONCE = 2000;

/**
 * A parsed and checked header.
 *
 * @param start - The 8 bytes before it.
 * @param size - Bytes of the whole file.
 */
async function parseHeader(
  path: string,
  start: Uint8Array,
  bytes: Uint8Array,
  size: number,
): Promise<SafetensorsHeader> {
  const dataStart = 8 + bytes.length;
  const tensors = new Map<string, TensorEntry>();
  let metadata = new Map<string, string>();
  for (const [name, raw] of jsonEntries(headerText(path, start, bytes), headerError(path))) {
    if (name === '__metadata__') metadata = parseMetadata(path, raw);
    else tensors.set(name, parseTensor(path, name, raw, dataStart));
    if (tensors.size > MAX_TENSORS) {
      throw new DpmError('ERR_DPM_FILE_HEADER', `${path} describes more than ${MAX_TENSORS} tensors`);
    }
    if (tensors.size % AT_ONCE === 0) await setImmediate();
  }
  checkLayout(path, tensors, dataStart, size);
  return { path, metadata, tensors };
}

/**
 * Reads and checks the header of a safetensors file; no tensor data is read. The tensors it describes lie inside the file,
 * one after the other, and have the bytes that their shapes need.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if the file cannot be read, and a code of its own for each kind of damage:
 * `ERR_DPM_FILE_TRUNCATED`, `ERR_DPM_HEADER_SIZE`, `ERR_DPM_FILE_HEADER` (also for a name that occurs twice),
 * `ERR_DPM_TENSOR_DTYPE`, `ERR_DPM_TENSOR_SHAPE`, `ERR_DPM_TENSOR_SIZE`, `ERR_DPM_TENSOR_OVERLAP`.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  requireKind('the path', path, kinds.string);
  return withFile(path, async (file, size) => {
    if (size < 8)
      throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${size} bytes, a safetensors file has at least 8`);
    const start = await readExactly(file, path, 0, 8);
    const bytes = await readExactly(file, path, 8, headerLength(path, start, size));
    return parseHeader(path, start, bytes, size);
  });
}

/**
 * The entry of a tensor that has to be there.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` listing some that are.
 */
export function requireTensor(header: SafetensorsHeader, name: string): TensorEntry {
  const entry = header.tensors.get(name);
  if (entry === undefined) {
    const names = listNames([...header.tensors.keys()].map((each) => each.slice(0, 100)));
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${header.path} has no tensor '${name}'; it has: ${names || 'none'}`);
  }
  return entry;
}

/** Refuses an entry that no header of a file has, as a forged one gives it. */
function requireEntry(path: string, name: string, entry: unknown): asserts entry is TensorEntry {
  const { dtype, shape, offset, bytes } = (entry ?? {}) as Record<keyof TensorEntry, unknown>;
  const isEntry =
    isDtype(dtype) &&
    kinds.sizes.holds(shape) &&
    [...(shape as unknown[]), offset, bytes].every((size) => Number.isSafeInteger(size) && Number(size) >= 0) &&
    bytes === elementCount(shape as number[]) * dtypeBytes[dtype];
  if (isEntry) return;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `the header of ${path}: tensor '${name}' is not what readSafetensorsHeader gives`,
  );
}

/**
 * Reads the bytes of a tensor as they are in the file: elements in C order, each with its lowest byte first.
 *
 * @param room - Array whose beginning receives them. Default: a new one.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_FILE`, or `ERR_DPM_FILE_TRUNCATED` if the file has become
 * shorter since its header was read.
 */
export async function readTensorBytes(
  header: SafetensorsHeader,
  name: string,
  room?: Uint8Array<ArrayBuffer>,
): Promise<{ entry: TensorEntry; bytes: Uint8Array }> {
  const entry = requireTensor(header, name);
  requireEntry(header.path, name, entry);
  const bytes = await withFile(header.path, (file) =>
    readExactly(file, header.path, entry.offset, entry.bytes, room?.subarray(0, entry.bytes)),
  );
  return { entry, bytes };
}
