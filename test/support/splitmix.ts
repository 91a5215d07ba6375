// Weights that are a function of their names, so that golden networks need no files.
import { crc32 } from 'node:zlib';

/** High 32 bits of the product of two unsigned 32-bit words. */
function highProduct(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

type Word = [high: number, low: number];

function multiply([high, low]: Word, [factorHigh, factorLow]: Word): Word {
  const top = highProduct(low, factorLow) + Math.imul(high, factorLow) + Math.imul(low, factorHigh);
  return [top >>> 0, Math.imul(low, factorLow) >>> 0];
}

/** x ^ (x >> shift) for a shift below 32. */
function fold([high, low]: Word, shift: number): Word {
  return [(high ^ (high >>> shift)) >>> 0, (low ^ ((low >>> shift) | (high << (32 - shift)))) >>> 0];
}

const golden: Word = [0x9e3779b9, 0x7f4a7c15];
const first: Word = [0xbf58476d, 0x1ce4e5b9];
const second: Word = [0x94d049bb, 0x133111eb];

/** `count` numbers in [-1, 1) that belong to a name. */
export function namedNumbers(name: string, count: number): Float64Array {
  const seed = crc32(name);
  return Float64Array.from({ length: count }, (_, i) => {
    let z = multiply([seed, i + 1], golden);
    z = multiply(fold(z, 30), first);
    z = multiply(fold(z, 27), second);
    const [high, low] = fold(z, 31);
    return (high * 2 ** 21 + (low >>> 11)) * 2 ** -53 * 2 - 1;
  });
}

/** The weight of a golden network with this name and shape. */
export function namedWeight(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const numbers = namedNumbers(name, count);
  if (shape.length === 1) {
    if (/\.W$|^time_proj\.weight$|freqs$/.test(name)) return Float32Array.from(numbers, (u) => 2 * u);
    if (name.endsWith('weight')) return Float32Array.from(numbers, (u) => 1 + 0.3 * u);
    return Float32Array.from(numbers, (u) => 0.2 * u);
  }
  const fan = name.endsWith('.W') ? shape[0]! : shape.slice(1).reduce((product, size) => product * size, 1);
  return Float32Array.from(numbers, (u) => u * Math.sqrt(3 / fan));
}
