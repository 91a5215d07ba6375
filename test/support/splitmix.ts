// Weights that are a function of their names, so that golden networks need no files.
import { crc32 } from 'node:zlib';

/** High 32 bits of the product of two unsigned 32-bit words. */
function highProduct(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}

/** A 64-bit word that operations change in place: networks have millions of weights. */
class Word {
  constructor(
    private high: number,
    private low: number,
  ) {}

  set(high: number, low: number): this {
    this.high = high | 0;
    this.low = low | 0;
    return this;
  }

  multiply(factorHigh: number, factorLow: number): this {
    const { high, low } = this;
    const top = highProduct(low, factorLow) + Math.imul(high, factorLow) + Math.imul(low, factorHigh);
    return this.set(top, Math.imul(low, factorLow));
  }

  /** x ^ (x >> shift) for a shift below 32. */
  fold(shift: number): this {
    const { high, low } = this;
    return this.set(high ^ (high >>> shift), low ^ ((low >>> shift) | (high << (32 - shift))));
  }

  /** Converts to a number in [-1, 1). */
  toNumber(): number {
    return ((this.high >>> 0) * 2 ** 21 + (this.low >>> 11)) * 2 ** -53 * 2 - 1;
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
  const [middle, extent] = namedRange(name, shape);
  // A loop instead of `from`, which takes longer than all the rest.
  const numbers = namedNumbers(name, count);
  const weight = new Float32Array(count);
  for (let i = 0; i < count; ++i) weight[i] = middle + extent * numbers[i]!;
  return weight;
}

/** The middle of a weight's numbers, and how far they are from it at most. */
function namedRange(name: string, shape: readonly number[]): [middle: number, extent: number] {
  if (shape.length === 1) {
    if (/\.W$|^time_proj\.weight$|freqs$/.test(name)) return [0, 2];
    return name.endsWith('weight') ? [1, 0.3] : [0, 0.2];
  }
  const fan = name.endsWith('.W') ? shape[0]! : shape.slice(1).reduce((product, size) => product * size, 1);
  return [0, Math.sqrt(3 / fan)];
}
