// Weights that are a function of their names, so that golden networks need no files.
import { crc32 } from 'node:zlib';

/** High 32 bits of the product of two unsigned 32-bit words. */
function highProduct(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/** A 64-bit word that operations change in place: networks have millions of weights. */
class Word {
  constructor(
    private high: number,
    private low: number,
  ) {}

  set(high: number, low: number): this {
    this.high = high;
    this.low = low;
    return this;
  }

  multiply(factorHigh: number, factorLow: number): this {
    const { high, low } = this;
    const top = highProduct(low, factorLow) + Math.imul(high, factorLow) + Math.imul(low, factorHigh);
    return this.set(top >>> 0, Math.imul(low, factorLow) >>> 0);
  }

  /** x ^ (x >> shift) for a shift below 32. */
  fold(shift: number): this {
    const { high, low } = this;
    return this.set((high ^ (high >>> shift)) >>> 0, (low ^ ((low >>> shift) | (high << (32 - shift)))) >>> 0);
  }

  /** As a number in [-1, 1). */
  toNumber(): number {
    return (this.high * 2 ** 21 + (this.low >>> 11)) * 2 ** -53 * 2 - 1;
  }
}

/** `count` numbers in [-1, 1) that belong to a name. */
export function namedNumbers(name: string, count: number): Float64Array {
  const seed = crc32(name);
  const word = new Word(0, 0);
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; ++i) {
    word.set(seed, i + 1).multiply(0x9e3779b9, 0x7f4a7c15);
    word.fold(30).multiply(0xbf58476d, 0x1ce4e5b9);
    word.fold(27).multiply(0x94d049bb, 0x133111eb);
    numbers[i] = word.fold(31).toNumber();
  }
  return numbers;
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
