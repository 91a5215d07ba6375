import { at } from '../../base/arrays.js';
import { philox4x32, seedWords } from '../../base/random.js';

/** The draws that dequantisation and probes take in the random stream of a seed. */
const uniformDraw = 2;
export const signDraw = 3;

/** Place of drawn numbers: of one image, in one of several repeats. */
export interface DrawPlace {
  seed: number | bigint;
  /** Number of the repeat, from 0. */
  repeat: number;
  /** Number of the image, from 0. */
  image: number;
}

/** Draws uniform numbers in [0, 1), multiples of 2^-24, to add to 8-bit levels. */
export function uniforms({ seed, repeat, image }: DrawPlace, count: number): Float32Array {
  const key = seedWords(seed);
  const result = new Float32Array(count);
  for (let first = 0; first < count; first += 4) {
    const words = philox4x32([first / 4, repeat, image, uniformDraw], key);
    for (let i = first; i < Math.min(first + 4, count); ++i) result[i] = (at(words, i - first) >>> 8) / 2 ** 24;
  }
  return result;
}

/** Draws signs, 1 and -1 with equal probability: a Rademacher probe. */
export function signs({ seed, repeat, image }: DrawPlace, count: number): Float32Array {
  const key = seedWords(seed);
  const result = new Float32Array(count);
  for (let first = 0; first < count; first += 128) {
    const words = philox4x32([first / 128, repeat, image, signDraw], key);
    for (let i = first; i < Math.min(first + 128, count); ++i) {
      const bit = i - first;
      result[i] = ((at(words, bit >> 5) >>> (bit & 31)) & 1) === 1 ? 1 : -1;
    }
  }
  return result;
}
