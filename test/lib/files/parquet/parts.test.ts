// Parts of Parquet files: structs of Thrift, numbers in runs, codecs; right ones, and such as say that they are large.
import { brotliCompressSync, gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../../lib/base/errors.js';
import { readCompact } from '../../../../lib/files/parquet/compact.js';
import { decompressorOf } from '../../../../lib/files/parquet/decompress.js';
import { readHybrid } from '../../../../lib/files/parquet/hybrid.js';
import { failure } from '../../../support/failure.js';
import { varint } from '../../../support/write-parquet.js';
import { bytes } from '../../../support/write-pytorch.js';

describe('structs', () => {
  it.each<[string, Uint8Array, RegExp]>([
    ['a list of 2^40', bytes('\x19\xfc', varint(2 ** 40), '\0'), /list that is too long/],
    ['a list of 2^20 and few bytes', bytes('\x19\xfc', varint(2 ** 20), '\0'), /list that is too long/],
    ['bytes of 2^60', bytes('\x18', varint(2n ** 60n), '\0'), /ends too early/],
    ['a number that does not end', bytes('\x16', Buffer.alloc(99, 0xff)), /more than 64 bits/],
    ['half a double', Uint8Array.of(0x17, 0, 0, 0, 0), /ends too early/],
    ['an unknown type', bytes('\x1b\0'), /unknown type 11/],
    ['3 million values', bytes('\x19\xf6', varint(3e6), Buffer.alloc(3e6), '\0'), /list that is too long/],
    [
      '3 million values in lists',
      bytes(
        '\x19\xf9',
        varint(3),
        ...Array.from({ length: 3 }, () => bytes('\xf6', varint(1e6), Buffer.alloc(1e6))),
        '\0',
      ),
      /list that is too long/,
    ],
    [
      '2 million structs in a field each',
      bytes(Buffer.from('\x1c\0'.repeat(2 ** 21 + 1), 'latin1'), '\0'),
      /more than 2097152/,
    ],
  ])('refuse %s', (_, content, message) => {
    expect(() => readCompact('a', content)).toThrow(message);
  });

  it('have values of every type', () => {
    const content = bytes(
      '\x11\x12\x13\x07\x17',
      Buffer.from(Float64Array.of(0.5).buffer),
      '\x19\x21\x01\x02\x06\xc8\x01\x01\0',
    );
    const { fields, end: length } = readCompact('a', content);
    expect(Object.fromEntries(fields)).toEqual({ 1: true, 2: false, 3: 7, 4: 0.5, 5: [true, false], 100: -1 });
    expect(length).toBe(content.length);
  });
});

describe('numbers in runs and packed bits', () => {
  it('are what was written, of every width', () => {
    const run = fc.record({ packed: fc.boolean(), count: fc.integer({ min: 1, max: 20 }), seed: fc.nat() });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.array(run, { minLength: 1, maxLength: 5 }), (width, runs) => {
        const wanted: number[] = [];
        const parts = runs.map(({ packed, count, seed }, k) => {
          const next = (i: number): number => Math.floor((seed * (i + 1) + 17 * i) % 2 ** width);
          if (!packed) {
            wanted.push(...Array.from({ length: count }, () => next(0)));
            const value = Buffer.alloc(8);
            value.writeUInt32LE(next(0));
            return bytes(varint(2 * count), value.subarray(0, Math.ceil(width / 8)));
          }
          // Numbers fill up units of eight; those of the last run may have too many.
          const units = Math.ceil(count / 8);
          const numbers = Array.from({ length: 8 * units }, (_, i) => next(i));
          wanted.push(...(k === runs.length - 1 ? numbers.slice(0, count) : numbers));
          const bits = numbers.reduce((all, number, i) => all | (BigInt(number) << BigInt(i * width)), 0n);
          return bytes(
            varint(2 * units + 1),
            Buffer.from(Array.from({ length: units * width }, (_, i) => Number((bits >> BigInt(8 * i)) & 255n))),
          );
        });
        expect([...readHybrid('a', bytes(...parts), width, wanted.length)]).toEqual(wanted);
      }),
    );
    expect([...readHybrid('a', Buffer.alloc(0), 0, 3)]).toEqual([0, 0, 0]);
  });

  it('are refused before memory is taken', () => {
    const refused = expect.objectContaining({ code: 'ERR_DPM_OUT_OF_MEMORY' }) as Error;
    expect(() => readHybrid('a', bytes(varint(2), '\x01'), 1, 2 ** 40)).toThrow(refused);
  });
});

describe('codecs', () => {
  it('say which package they take, if it is not installed', async () => {
    const missing = Object.assign(new Error('gone'), { code: 'ERR_MODULE_NOT_FOUND' });
    const error = await failure(
      decompressorOf("a.parquet: column 'x'", 1, () =>
        Promise.reject(new DpmError('ERR_DPM_UNSUPPORTED', 'install', { cause: missing })),
      ),
    );
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_UNSUPPORTED',
      "a.parquet: column 'x' is compressed by SNAPPY: install",
    ]);
    const none = (): Promise<never> => Promise.reject(missing);
    for (const codec of [0, 2, 4]) await decompressorOf('a', codec, none);
    await expect(decompressorOf('a', 6, none)).rejects.toBe(missing);
  });

  it.each([
    ['SNAPPY', 1],
    ['GZIP', 2],
    ['BROTLI', 4],
    ['ZSTD', 6],
    ['LZ4_RAW', 7],
  ])('%s refuses bytes that are none, and other sizes', async (_, codec) => {
    const unpack = await decompressorOf('a', codec);
    for (const content of [bytes(), bytes('none of them at all'), bytes(Buffer.alloc(64, 0xff))]) {
      for (const length of [1, 100]) {
        expect(() => unpack(content, length)).toThrow(expect.objectContaining({ code: 'ERR_DPM_FILE' }));
      }
    }
    expect(() => unpack(bytes('none'), 2 ** 45)).toThrow(expect.objectContaining({ code: 'ERR_DPM_OUT_OF_MEMORY' }));
  });

  it('of Node unpack no more than they have to', async () => {
    const zeros = Buffer.alloc(100_000);
    for (const [codec, packed] of [
      [2, gzipSync(zeros)],
      [4, brotliCompressSync(zeros)],
    ] as const) {
      const unpack = await decompressorOf('a', codec);
      expect(unpack(packed, zeros.length)).toHaveLength(zeros.length);
      expect(() => unpack(packed, 10)).toThrow(/cannot be unpacked/);
    }
  });

  it('Snappy writes no more than there is room for', async () => {
    const unpack = await decompressorOf('a', 1);
    const packed = bytes(varint(4), '\x0cabcd');
    expect(Buffer.from(unpack(packed, 4)).toString()).toBe('abcd');
    for (const length of [3, 5]) expect(() => unpack(packed, length)).toThrow(/cannot be unpacked/);
  });
});
