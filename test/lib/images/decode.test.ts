// Pictures and masks in memory.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { ImageBatch } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

const width = 3;
const height = 2;

/** A PNG of 2 lines of 3 pixels, by channels of 8 or 16 bits. */
function png(channels: 1 | 2 | 3 | 4, values: readonly number[], depth: 8 | 16 = 8): Uint8Array {
  const data = depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
  return encode({ width, height, channels, depth, data });
}

const grey = [0, 51, 255, 255, 102, 0];

describe('a picture in memory', () => {
  it('is decoded as its file is', async () => {
    const image = await ImageBatch.decode(png(1, grey));
    expect(image.shape).toEqual([1, 1, 2, 3]);
    expect(image.range).toEqual([-1, 1]);
    expect(image.toUint8()).toEqual(Uint8Array.from(grey));
    const colours = Array.from({ length: 18 }, (_, i) => i * 10);
    const other = await ImageBatch.decode(png(3, colours), { range: [0, 1] });
    expect(other.shape).toEqual([1, 3, 2, 3]);
    expect(other.range).toEqual([0, 1]);
    // Channels of a pixel lie beside each other in a file.
    expect([...other.toUint8()]).toEqual([0, 1, 2].flatMap((c) => [0, 1, 2, 3, 4, 5].map((i) => colours[3 * i + c])));
    const photos = packagePath('test/fixtures/jpeg');
    const name = readdirSync(photos).find((each) => each.endsWith('.jpg'))!;
    const photo = await ImageBatch.decode(readFileSync(join(photos, name)));
    const loaded = await ImageBatch.load(join(photos, name));
    expect(photo.shape).toEqual(loaded.shape);
    expect(photo.data).toEqual(loaded.data);
  });

  it('has the shape that is asked for', async () => {
    const image = await ImageBatch.decode(png(1, grey), { sampleShape: [3, 2, 3] });
    expect(image.shape).toEqual([1, 3, 2, 3]);
    expect(image.toUint8()).toEqual(Uint8Array.from([...grey, ...grey, ...grey]));
    const wrong = await failure(ImageBatch.decode(png(1, grey), { sampleShape: [1, 3, 2] }));
    expect(wrong).toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
      message: 'the picture: the image has 3 x 2 pixels, it has to have 2 x 3',
    });
  });

  it('has no more pixels than it may have, whatever its bytes are', async () => {
    expect((await ImageBatch.decode(png(1, grey), { mostPixels: 6 })).count).toBe(1);
    const large = 'the picture: it has 3 x 2 pixels, at most 5 are read';
    expect((await failure(ImageBatch.decode(png(1, grey), { mostPixels: 5 }))).message).toBe(large);
    expect((await failure(ImageBatch.decodeMask(png(1, grey), { mostPixels: 5 }))).message).toBe(large);
    expect((await ImageBatch.decodeMask(png(1, grey), { mostPixels: 6 })).count).toBe(1);
    // A header says sides whose pixels nobody has.
    const bomb = png(1, grey);
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(16, 60_000);
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(20, 60_000);
    const error = await failure(ImageBatch.decode(bomb));
    expect(error.message).toMatch(/60000 x 60000 pixels, at most 67108864 are read/);
    expect((await failure(ImageBatch.decode(png(1, grey), { mostPixels: 0 }))).message).toMatch(/mostPixels is 0/);
  });

  it('that is none, damaged or transparent is refused', async () => {
    for (const [bytes, message] of [
      [new Uint8Array(), /neither PNG nor JPEG/],
      [Uint8Array.of(1, 2, 3), /neither PNG nor JPEG/],
      [png(1, grey).subarray(0, 40), /cut off/],
      [png(2, [...grey, ...grey]), /transparent pixels/],
    ] as const) {
      const error = await failure(ImageBatch.decode(bytes));
      expect(error.code).toBe('ERR_DPM_FILE');
      expect(error.message).toMatch(message);
    }
    expect((await failure(ImageBatch.decode('x' as never))).message).toMatch(/bytes is "x"/);
  });
});

describe('a mask in memory', () => {
  const maskOf = async (bytes: Uint8Array): Promise<number[]> => {
    const { data, shape, range } = await ImageBatch.decodeMask(bytes);
    expect(shape).toEqual([1, 1, 2, 3]);
    expect(range).toEqual([0, 1]);
    return [...data];
  };
  const shares = grey.map((level) => Math.fround(level / 255));

  it('is what is transparent, whatever the colours are', async () => {
    const opacities = grey.map((level) => 255 - level);
    expect(
      await maskOf(
        png(
          2,
          opacities.flatMap((opacity, i) => [40 * i, opacity]),
        ),
      ),
    ).toEqual(shares);
    expect(
      await maskOf(
        png(
          4,
          opacities.flatMap((opacity) => [255, 255, 255, opacity]),
        ),
      ),
    ).toEqual(shares);
    const opaque = grey.flatMap((level) => [level, level, level, 255]);
    // A picture with a channel of opacity that is opaque changes nothing.
    expect(await maskOf(png(4, opaque))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await maskOf(png(2, [0, 65535, 0, 0, 0, 0, 0, 65535, 0, 65535, 0, 65535], 16))).toEqual([0, 1, 1, 0, 0, 0]);
  });

  it('is what is white, of a picture without transparency', async () => {
    expect(await maskOf(png(1, grey))).toEqual(shares);
    expect(
      await maskOf(
        png(
          3,
          grey.flatMap((level) => [level, level, level]),
        ),
      ),
    ).toEqual(shares);
    // Red is not white.
    expect(
      await maskOf(
        png(
          3,
          grey.flatMap(() => [255, 0, 0]),
        ),
      ),
    ).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('that is damaged is refused', async () => {
    for (const bytes of [new Uint8Array(3), png(4, new Array<number>(24).fill(7)).subarray(0, 50)]) {
      expect((await failure(ImageBatch.decodeMask(bytes))).code).toBe('ERR_DPM_FILE');
    }
  });
});
