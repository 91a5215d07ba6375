import { elementCount } from '../base/arrays.js';
import type { Dtype } from './safetensors.js';

function halfToFloat(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

function elementReader(dtype: Dtype, view: DataView): (index: number) => number {
  switch (dtype) {
    case 'F32':
      return (i) => view.getFloat32(4 * i, true);
    case 'F64':
      return (i) => view.getFloat64(8 * i, true);
    case 'F16':
      return (i) => halfToFloat(view.getUint16(2 * i, true));
    case 'BF16': {
      const word = new DataView(new ArrayBuffer(4));
      return (i) => {
        word.setUint32(0, view.getUint16(2 * i, true) << 16);
        return word.getFloat32(0);
      };
    }
    case 'U8':
    case 'BOOL':
      return (i) => view.getUint8(i);
    case 'I8':
      return (i) => view.getInt8(i);
    case 'I16':
      return (i) => view.getInt16(2 * i, true);
    case 'U16':
      return (i) => view.getUint16(2 * i, true);
    case 'I32':
      return (i) => view.getInt32(4 * i, true);
    case 'U32':
      return (i) => view.getUint32(4 * i, true);
    case 'I64':
      return (i) => Number(view.getBigInt64(8 * i, true));
    case 'U64':
      return (i) => Number(view.getBigUint64(8 * i, true));
  }
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * Converts a tensor's bytes to float32. Values of F16, BF16, BOOL (0 and 1) and integers of up to 16 bits are exact, others
 * are rounded to the nearest float32: F64 beyond its range to infinity, integers beyond 2^24.
 *
 * @param bytes - Elements with their lowest byte first; for F32 the result may share their memory, so they have to begin at a
 * multiple of 4 in their buffer.
 * @param count - Number of elements.
 */
export function floatsOf(dtype: Dtype, bytes: Uint8Array, count: number): Float32Array {
  if (dtype === 'F32' && isLittleEndian) return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  if (dtype === 'U8') return Float32Array.from(bytes);
  const read = elementReader(dtype, new DataView(bytes.buffer, bytes.byteOffset));
  const values = new Float32Array(count);
  for (let i = 0; i < count; ++i) values[i] = read(i);
  return values;
}

/** Converts float32 to IEEE binary16, ties to even; too large numbers become infinite, NaN stays NaN. */
function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Half-precision numbers below the normal ones count multiples of 2^-24.
    const shift = 126 - (magnitude >>> 23);
    if (shift > 24) return sign;
    const mantissa = (magnitude & 0x7fffff) | 0x800000;
    const rounded = mantissa >>> shift;
    const rest = mantissa & ((1 << shift) - 1);
    const half = 1 << (shift - 1);
    return sign | (rounded + (rest > half || (rest === half && (rounded & 1) === 1) ? 1 : 0));
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** Converts float32 to bfloat16, ties to even; NaN stays NaN. */
function bfloat16Bits(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** Magnitudes from which on a type rounds to infinity. */
export const dtypeLimits = { F32: Infinity, F16: 65_520, BF16: 2 ** 128 - 2 ** 119 } as const;

/** Encodes values as little-endian bytes of a type. */
export function encodeFloats(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return new Uint8Array(Uint16Array.from(words, dtype === 'F16' ? halfBits : bfloat16Bits).buffer);
}

/**
 * Copies elements at `stride` into C order.
 *
 * @param result - Receives them. Default: a new array.
 */
export function gather(
  source: Float32Array,
  shape: readonly number[],
  stride: readonly number[],
  result = new Float32Array(elementCount(shape)),
): Float32Array {
  const inner = shape.at(-1) ?? 1;
  const innerStride = stride.at(-1) ?? 0;
  const index = shape.slice(0, -1).fill(0);
  let start = 0;
  for (let done = 0; done < result.length;) {
    for (let i = 0; i < inner; ++i) result[done++] = source[start + i * innerStride] ?? Number.NaN;
    for (let axis = index.length - 1; axis >= 0; --axis) {
      const next = (index[axis] ?? 0) + 1;
      const step = stride[axis] ?? 0;
      if (next < (shape[axis] ?? 1)) {
        index[axis] = next;
        start += step;
        break;
      }
      index[axis] = 0;
      start -= (next - 1) * step;
    }
  }
  return result;
}
