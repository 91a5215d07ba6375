import { ServerError } from '../../../base/problem.js';

/** The types that tensors may have, each with the bytes of an element. */
const sizes = { FP32: 4, FP16: 2, BF16: 2, INT32: 4, INT64: 8 } as const;

/** A type of the protocol. */
export type Datatype = keyof typeof sizes;

/** A tensor of a request or an answer, as its JSON describes it. */
export interface TensorHeader {
  name: string;
  shape: number[];
  datatype: string;
  data?: unknown[] | undefined;
  parameters?: { binary_data_size?: number | undefined; binary_data?: boolean | undefined } | undefined;
}

/** A tensor of a request, with its elements. */
export interface Tensor {
  name: string;
  shape: number[];
  values: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
}

function wrong(name: string, reason: string): ServerError {
  return new ServerError('ERR_DPM_ARGUMENT', `tensor ${name} ${reason}`, { param: name });
}

function elementsOf({ name, shape }: TensorHeader): number {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements) || elements > 2 ** 28) throw wrong(name, 'has too many elements');
  return elements;
}

function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(sizes, name);
}

/** Reads the bits of an IEEE binary16 number. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const float = new DataView(new ArrayBuffer(4));

function bfloat(bits: number): number {
  float.setUint32(0, bits << 16);
  return float.getFloat32(0);
}

type Reader = (bytes: Buffer, offset: number) => number;

const readers: Readonly<Record<Datatype, Reader>> = {
  FP32: (bytes, offset) => bytes.readFloatLE(offset),
  FP16: (bytes, offset) => half(bytes.readUInt16LE(offset)),
  BF16: (bytes, offset) => bfloat(bytes.readUInt16LE(offset)),
  INT32: (bytes, offset) => bytes.readInt32LE(offset),
  INT64: (bytes, offset) => Number(bytes.readBigInt64LE(offset)),
};

function fromBytes(name: string, bytes: Buffer, datatype: Datatype, elements: number): Tensor['values'] {
  const values = datatype.startsWith('INT') ? new Int32Array(elements) : new Float32Array(elements);
  const read = readers[datatype];
  for (let i = 0; i < elements; ++i) {
    const value = read(bytes, i * sizes[datatype]);
    if (datatype === 'INT64' && (value | 0) !== value) throw wrong(name, 'has integers beyond 32 bits');
    values[i] = value;
  }
  return values;
}

function fromNumbers({ name, data, datatype }: TensorHeader, elements: number): Tensor['values'] {
  // The protocol allows arrays in arrays.
  const numbers = (data ?? []).flat(Infinity);
  if (numbers.length !== elements) throw wrong(name, `has ${numbers.length} elements, its shape ${elements}`);
  if (!numbers.every((value) => typeof value === 'number')) throw wrong(name, 'has data that are no numbers');
  const values = numbers;
  if (!datatype.startsWith('INT')) return Float32Array.from(values);
  if (!values.every((value) => (value | 0) === value)) throw wrong(name, 'has data that are no integers of 32 bits');
  return Int32Array.from(values);
}

/**
 * The tensors of a request: numbers in the JSON, or bytes behind it, one after the other.
 *
 * @throws {@link ServerError} `ERR_DPM_ARGUMENT` naming the tensor.
 */
export function tensorsOf(headers: readonly TensorHeader[], binary: Buffer): Tensor[] {
  let offset = 0;
  const tensors = headers.map((header) => {
    const { name, shape, datatype, parameters } = header;
    if (!isDatatype(datatype))
      throw wrong(name, `has datatype ${datatype}, not one of ${Object.keys(sizes).join(', ')}`);
    const elements = elementsOf(header);
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      if (datatype === 'FP16' || datatype === 'BF16') throw wrong(name, `of ${datatype} comes as binary data alone`);
      return { name, shape, values: fromNumbers(header, elements) };
    }
    if (header.data !== undefined) throw wrong(name, 'has data and binary data');
    if (size !== elements * sizes[datatype])
      throw wrong(name, `has ${size} bytes, its shape ${elements * sizes[datatype]}`);
    const bytes = binary.subarray(offset, offset + size);
    if (bytes.length < size) throw wrong(name, 'ends with the body');
    offset += size;
    return { name, shape, values: fromBytes(name, bytes, datatype, elements) };
  });
  if (offset !== binary.length) {
    throw new ServerError('ERR_DPM_ARGUMENT', `the body has ${binary.length - offset} bytes that are no tensor's`);
  }
  return tensors;
}
