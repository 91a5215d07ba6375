import { at, elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { arrayOf, kinds, objectOf, requireKind } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import { writeAtomically } from './files.js';
import { floatsOf } from './floats.js';
import { dtypeBytes, readTensorBytes, type Dtype, type SafetensorsHeader } from './safetensors.js';

/** A tensor in memory. */
export interface HostTensor {
  /** Sizes, none for a scalar. */
  shape: number[];
  /** Elements, as many as the product of the sizes, in C order. The array gives their type in a file. */
  data:
    | Float32Array
    | Float64Array
    | Int8Array
    | Uint8Array
    | Uint8ClampedArray
    | Int16Array
    | Uint16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array;
}

/** Types of typed arrays' elements in a file; half-precision ones have no typed array on every Node. */
const arrayTypes: Readonly<Record<string, Dtype>> = {
  Float32Array: 'F32',
  Float64Array: 'F64',
  Int8Array: 'I8',
  Uint8Array: 'U8',
  Uint8ClampedArray: 'U8',
  Int16Array: 'I16',
  Uint16Array: 'U16',
  Int32Array: 'I32',
  Uint32Array: 'U32',
  BigInt64Array: 'I64',
  BigUint64Array: 'U64',
};

/** Refuses a value that is no header, which plain JavaScript can give. */
function requireHeader(header: SafetensorsHeader): void {
  const expected = 'what readSafetensorsHeader gives';
  requireKind('the header', header, objectOf(expected));
  const { path, tensors } = header;
  const isHeader = typeof (path as unknown) === 'string' && (tensors as unknown) instanceof Map;
  if (!isHeader) throw wrongValue('the header', header, expected);
}

/**
 * Reads a tensor's values as float32 in C order, whatever its dtype. F64 is rounded to the nearest float32, and so are I32,
 * U32, I64 and U64 beyond 2^24 in magnitude; all others are exact.
 *
 * @param accepted - Dtypes that may be read; absent: all.
 * @returns The values with the shape and the dtype that the tensor has in the file.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_DTYPE` if `accepted` does not list its dtype,
 * `ERR_DPM_FILE`, or `ERR_DPM_FILE_TRUNCATED` if the file has become shorter since its header was read.
 */
export async function readFloats(
  header: SafetensorsHeader,
  name: string,
  accepted?: readonly Dtype[],
): Promise<{ shape: number[]; dtype: Dtype; data: Float32Array }> {
  requireHeader(header);
  requireKind('the name of a tensor', name, kinds.string);
  if (accepted !== undefined) requireKind('accepted', accepted, arrayOf('an array of dtypes', kinds.string));
  const { entry, bytes } = await readTensorBytes(header, name);
  if (accepted !== undefined && !accepted.includes(entry.dtype)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_DTYPE',
      `${header.path}: tensor '${name}' is ${entry.dtype}, it has to be ${accepted.join(' or ')}`,
    );
  }
  return { shape: entry.shape, dtype: entry.dtype, data: floatsOf(entry.dtype, bytes, elementCount(entry.shape)) };
}

function dtypeOf(name: string, data: HostTensor['data']): Dtype {
  // Tags, unlike instanceof, also hold for arrays of another realm, and for subclasses such as Buffer.
  const kind = Object.prototype.toString.call(data).slice('[object '.length, -1);
  const dtype = Object.hasOwn(arrayTypes, kind) ? arrayTypes[kind] : undefined;
  if (dtype !== undefined) return dtype;
  const known = Object.keys(arrayTypes).join(', ');
  throw new DpmError('ERR_DPM_TENSOR_DTYPE', `tensor '${name}' is of type ${kind}, it has to be one of ${known}`);
}

/** Entry of a safetensors header for one tensor. */
export interface HeaderEntry {
  name: string;
  dtype: Dtype;
  /** Sizes, none for a scalar. */
  shape: number[];
  /** Number of bytes of its elements. */
  bytes: number;
}

/** Makes the start of a safetensors file: the length of the header in 8 bytes, and the header, padded to 8. */
export function safetensorsHeader(
  tensors: readonly HeaderEntry[],
  metadata: Readonly<Record<string, string>>,
): [length: Uint8Array, header: Uint8Array] {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  let position = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [position, position + bytes] }]);
    position += bytes;
  }
  const json = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
  const text = new TextEncoder().encode(json);
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
  return [length, padded];
}

/**
 * Gives the bytes of a safetensors file: the header and, in its order, the tensors, which share their memory. Larger
 * elements come first, so that each one is aligned.
 */
export function safetensorsParts(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: HostTensor['data'] }>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const ordered = [...tensors]
    .map(([name, { shape, data }]) => ({
      name,
      shape: [...shape],
      data,
      dtype: dtypeOf(name, data),
      bytes: data.byteLength,
    }))
    .sort((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : 1));
  const data = ordered.map(({ data: values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return [...safetensorsHeader(ordered, metadata), ...data];
}

/**
 * Writes a safetensors file; a failure leaves an earlier file unchanged. Tensors come in the order of their elements' size,
 * then of their names, whatever the order of `tensors`.
 *
 * @param metadata - Texts to go under `__metadata__`.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if a shape does not fit its data, `ERR_DPM_TENSOR_DTYPE` for data of
 * another type, `ERR_DPM_FILE` if writing fails.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor> | Readonly<Record<string, HostTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  requireKind('the path', path, kinds.string);
  requireKind('tensors', tensors, objectOf('an object or a Map of tensors'));
  requireKind('metadata', metadata, objectOf('an object of strings'));
  for (const [name, text] of Object.entries(metadata)) requireKind(`metadata ${name}`, text, kinds.string);
  const map =
    tensors instanceof Map
      ? new Map<string, HostTensor>(tensors)
      : new Map<string, HostTensor>(Object.entries(tensors));
  for (const [name, tensor] of map) {
    requireKind(`tensor '${name}'`, tensor, objectOf('{ shape, data }'));
    const { shape, data } = tensor;
    dtypeOf(name, data);
    requireKind(`the shape of tensor '${name}'`, shape, kinds.sizes);
    if (elementCount(shape) !== data.length || shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `tensor '${name}' of shape ${shownValue(shape)} has ${data.length} elements`,
      );
    }
  }
  // Copies: the caller may change its arrays before they are written.
  await writeAtomically(
    path,
    safetensorsParts(map, metadata).map((part) => part.slice()),
  );
}

/**
 * Reads integers of a tensor as class labels or times, in C order.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming a value outside 0 to below `limit`, `ERR_DPM_TENSOR_DTYPE` for another
 * dtype than I64, I32 and U8, and the errors of {@link readFloats}.
 */
export async function readLabels(header: SafetensorsHeader, name: string, limit: number): Promise<Int32Array> {
  if (limit === 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${header.path}: ${name} is for class-conditional networks, which this one is not`,
    );
  }
  const { data } = await readFloats(header, name, ['I64', 'I32', 'U8']);
  const bad = data.findIndex((value) => !(value >= 0 && value < limit));
  if (bad >= 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${header.path}: ${name} ${at(data, bad)} is outside 0..${limit - 1}`);
  }
  return Int32Array.from(data);
}
