// Records of TensorFlow's files and their checksums.
import { describe, expect, it } from 'vitest';

import { maskedCrc32c, tfRecord } from '../../../../lib/training/tensorboard/record.js';
import { crc32cOf, recordsOf, unmasked } from '../../../support/read-events.js';

const bytesFrom = (make: (i: number) => number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => make(i));

describe('checksums', () => {
  // RFC 3720, B.4.
  it.each<[string, Uint8Array, number]>([
    ['zeros', bytesFrom(() => 0), 0x8a9136aa],
    ['ones', bytesFrom(() => 0xff), 0x62a8ab43],
    ['incrementing bytes', bytesFrom((i) => i), 0x46dd794e],
    ['decrementing bytes', bytesFrom((i) => 31 - i), 0x113fdb5c],
    ['digits', Buffer.from('123456789'), 0xe3069283],
  ])('of %s are the known ones, masked', (_, bytes, expected) => {
    expect(crc32cOf(bytes)).toBe(expected);
    expect(unmasked(maskedCrc32c(bytes))).toBe(expected);
  });

  it('are rotated, then moved by a constant', () => {
    expect(maskedCrc32c(new Uint8Array())).toBe(0xa282ead8);
    // 0x8a9136aa, its lower 15 bits first: 0x6d551522.
    expect(maskedCrc32c(bytesFrom(() => 0))).toBe((0x6d551522 + 0xa282ead8) % 2 ** 32);
  });
});

describe('records', () => {
  it('hold data of any length, one after the other', () => {
    const data = [0, 1, 255, 256, 70_000].map((length) => Buffer.alloc(length, length));
    const records = data.map(tfRecord);
    expect(records.map(({ length }, i) => length - data[i]!.length)).toEqual(data.map(() => 16));
    expect(recordsOf(Buffer.concat(records))).toEqual(data);
  });

  it('tell every bit that is another one', () => {
    const record = tfRecord(Buffer.from('abc'));
    for (let bit = 0; bit < 8 * record.length; ++bit) {
      const damaged = Buffer.from(record);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => recordsOf(damaged), `bit ${bit}`).toThrow(bit < 96 ? 'wrong length' : 'wrong data');
    }
  });

  it('are read up to one that is cut off', () => {
    const [first, second] = [tfRecord(Buffer.from('first')), tfRecord(Buffer.from('second'))];
    const both = Buffer.concat([first, second]);
    for (let end = first.length; end < both.length; ++end) {
      expect(recordsOf(both.subarray(0, end))).toEqual([Buffer.from('first')]);
    }
  });
});
