import { requireKind, seedKind } from './option-kinds.js';

/** Record number of the initial state in the random stream; programs count their records from 0. */
export const INITIAL_RECORD = 0xffffffff;

/** Splits a 64-bit seed into the two words of the generator's key, low word first. */
export function seedWords(seed: number | bigint): [low: number, high: number] {
  requireKind('seed', seed, seedKind);
  const value = BigInt(seed);
  return [Number(value & 0xffffffffn), Number(value >> 32n)];
}

/** Gives the high word of the product of two 32-bit words, by halves: exact in double, and much faster than a bigint. */
function highProduct(a: number, b: number): number {
  const low = a & 0xffff;
  const high = a >>> 16;
  const first = high * (b & 0xffff) + ((low * (b & 0xffff)) >>> 16);
  const second = low * (b >>> 16) + (first & 0xffff);
  return high * (b >>> 16) + (first >>> 16) + (second >>> 16);
}

/** Philox4x32-10 (Salmon et al. 2011), the generator of the native engine. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  seed: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = seed;
  for (let round = 0; round < 10; ++round) {
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high0 = highProduct(0xd2511f53, c0);
    c0 = (highProduct(0xcd9e8d57, c2) ^ c1 ^ k0) >>> 0;
    c1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Draws `count` different indices below `size` at random (the first steps of a Fisher-Yates shuffle). */
export function drawWithoutReplacement(size: number, count: number, seed: number | bigint): number[] {
  const key = seedWords(seed);
  const indices = Array.from({ length: size }, (_, i) => i);
  for (let i = 0; i < count; ++i) {
    const [word0, word1] = philox4x32([i, 0, 0, 1], key);
    const fraction = (word0 * 2 ** 21 + (word1 >>> 11)) * 2 ** -53;
    const j = i + Math.floor(fraction * (size - i));
    const swap = indices[i] ?? 0;
    indices[i] = indices[j] ?? 0;
    indices[j] = swap;
  }
  return indices.slice(0, count);
}
