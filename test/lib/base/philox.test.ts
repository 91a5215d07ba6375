import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { drawWithoutReplacement, philox4x32 as libraryPhilox, seedWords } from '../../../lib/base/random.js';
import { normals, philox4x32 } from '../../support/philox.js';

const word = fc.integer({ min: 0, max: 0xffffffff });

describe('Philox4x32-10', () => {
  it('gives the known answers', () => {
    const zero = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8];
    expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual(zero);
    const ones = 0xffffffff;
    expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
  });

  it('is the same in the library', () => {
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
        expect(libraryPhilox(counter, key)).toEqual(philox4x32(counter, key));
      }),
    );
  });

  it('gives normals of mean 0 and variance 1', () => {
    const z = normals({ seed: [1, 2], sampleIndex: 3, record: 4, draw: 0 }, 100_000);
    const mean = z.reduce((sum, value) => sum + value, 0) / z.length;
    const variance = z.reduce((sum, value) => sum + value * value, 0) / z.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(z.length));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / z.length));
  });
});

describe('seeds and draws', () => {
  it('splits seeds into words', () => {
    expect(seedWords(2 ** 40 + 5)).toEqual([5, 256]);
    expect(seedWords(2n ** 64n - 1n)).toEqual([0xffffffff, 0xffffffff]);
    for (const seed of [-1, 1.5, NaN, 2n ** 64n]) expect(() => seedWords(seed)).toThrow(/seed is/);
  });

  it('draws different indices', () => {
    const drawn = drawWithoutReplacement(50, 20, 7);
    expect(new Set(drawn).size).toBe(20);
    expect(drawn.every((index) => index >= 0 && index < 50)).toBe(true);
    expect(drawWithoutReplacement(50, 20, 7)).toEqual(drawn);
    expect([...drawWithoutReplacement(50, 50, 8)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });
});
