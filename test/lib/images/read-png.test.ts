// Pictures as images of a model.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';

import { encode, type ImageData } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { readPng, shapeOfPngBytes } from '../../../lib/images/read-png.js';
import { Random } from '../../support/random.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
let files = 0;

async function written(bytes: Uint8Array): Promise<string> {
  const path = join(folder, `${files++}.png`);
  await writeFile(path, bytes);
  return path;
}

/** The checksum of PNG's chunks, bit by bit; node:zlib has it from Node 22 on. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** 3 x 2 pixels. */
const size = { width: 3, height: 2 };
const png = (image: Omit<ImageData, 'width' | 'height'>): Promise<string> => written(encode({ ...size, ...image }));

/** A PNG that says it has other sides than it has. */
function saying(width: number, height: number): Promise<string> {
  const bytes = encode({ ...size, data: new Uint8Array(6), channels: 1 });
  const header = new DataView(bytes.buffer, bytes.byteOffset);
  header.setUint32(16, width);
  header.setUint32(20, height);
  header.setUint32(29, crc32(bytes.subarray(12, 29)));
  return written(bytes);
}

describe('shapeOfPngBytes', () => {
  const shapeOf = async (path: string) => shapeOfPngBytes(path, await readFile(path));

  it.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [4, 3],
  ] as const)('of pixels of %i values has %i channels', async (values, channels) => {
    const path = await png({ data: new Uint8Array(6 * values).fill(255), channels: values });
    expect(await shapeOf(path)).toEqual([channels, 2, 3]);
  });

  it('has sides of 1 to 65,535 pixels', async () => {
    expect(await shapeOf(await saying(65_535, 1))).toEqual([1, 1, 65_535]);
    for (const [width, height] of [
      [0, 2],
      [2, 0],
      [65_536, 1],
      [1, 65_536],
    ] as const) {
      await expect(shapeOf(await saying(width, height))).rejects.toMatchObject({
        code: 'ERR_DPM_FILE',
        message: expect.stringContaining(`the PNG says that it has ${width} x ${height} pixels`) as string,
      });
    }
  });
});

describe('readPng', () => {
  it('gives the planes of grey, RGB and opaque pixels', async () => {
    const grey = Uint8Array.from([0, 1, 127, 128, 254, 255]);
    expect([...(await readPng(await png({ data: grey, channels: 1 }), [1, 2, 3]))]).toEqual([...grey]);
    expect([...(await readPng(await png({ data: grey, channels: 1 }), [3, 2, 3]))]).toEqual([
      ...grey,
      ...grey,
      ...grey,
    ]);
    const rgb = Uint8Array.from({ length: 18 }, (_, i) => 10 * i);
    const planes = [0, 1, 2].flatMap((channel) => [...rgb].filter((_, i) => i % 3 === channel));
    expect([...(await readPng(await png({ data: rgb, channels: 3 }), [3, 2, 3]))]).toEqual(planes);
    const opaque = Uint8Array.from({ length: 24 }, (_, i) =>
      i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
    );
    expect([...(await readPng(await png({ data: opaque, channels: 4 }), [3, 2, 3]))]).toEqual(planes);
    const greyAlpha = Uint8Array.from([5, 255, 6, 255, 7, 255, 8, 255, 9, 255, 10, 255]);
    expect([...(await readPng(await png({ data: greyAlpha, channels: 2 }), [1, 2, 3]))]).toEqual([5, 6, 7, 8, 9, 10]);
  });

  it('gives levels of 16 bits with fractions', async () => {
    const deep = Uint16Array.from([0, 257, 128, 65535, 1000, 2]);
    const levels = await readPng(await png({ data: deep, channels: 1, depth: 16 }), [1, 2, 3]);
    deep.forEach((value, i) => {
      expect(levels[i]).toBeCloseTo((value / 65535) * 255, 4);
    });
  });

  it.each<[string, () => Promise<string>, readonly number[], string, string]>([
    ['another size', () => png({ data: new Uint8Array(6), channels: 1 }), [1, 3, 2], 'ERR_DPM_TENSOR_SHAPE', '3 x 2'],
    ['RGB for grey', () => png({ data: new Uint8Array(18), channels: 3 }), [1, 2, 3], 'ERR_DPM_TENSOR_SHAPE', 'is RGB'],
    [
      'one transparent pixel',
      () => png({ data: new Uint8Array(12).fill(255).fill(254, 11), channels: 2 }),
      [1, 2, 3],
      'ERR_DPM_FILE',
      'transparent',
    ],
    ['no PNG', () => written(new Uint8Array(40)), [1, 2, 3], 'ERR_DPM_FILE', 'no PNG'],
    ['an empty file', () => written(new Uint8Array(0)), [1, 2, 3], 'ERR_DPM_FILE', 'no PNG'],
    [
      'a large one',
      async () =>
        written(Buffer.concat([encode({ ...size, data: new Uint8Array(6), channels: 1 }), new Uint8Array(2 << 20)])),
      [1, 2, 3],
      'ERR_DPM_FILE',
      'more than a PNG',
    ],
    ['no file', () => Promise.resolve(join(folder, 'none.png')), [1, 2, 3], 'ERR_DPM_FILE', 'none.png'],
  ])('refuses %s, naming the file', async (_, file, shape, code, message) => {
    const path = await file();
    const reading = readPng(path, shape);
    await expect(reading).rejects.toMatchObject({ code });
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(path);
  });

  /** A chunk with its length and checksum. */
  function chunk(name: string, data: Uint8Array): Buffer {
    const whole = Buffer.alloc(12 + data.length);
    whole.writeUInt32BE(data.length, 0);
    whole.write(name, 4, 'latin1');
    whole.set(data, 8);
    whole.writeUInt32BE(crc32(whole.subarray(4, 8 + data.length)), 8 + data.length);
    return whole;
  }
  const signature = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  /** Grey of 3 x 2 pixels. */
  const header = (depth = 8, type = 0, interlaced = 0): Uint8Array =>
    Uint8Array.from([0, 0, 0, 3, 0, 0, 0, 2, depth, type, 0, 0, interlaced]);
  const file = (...chunks: Buffer[]): Promise<string> => written(Buffer.concat([signature, ...chunks]));
  const rows = (bytes: number): Buffer => deflateSync(new Uint8Array(2 * (1 + bytes)));
  const end = chunk('IEND', new Uint8Array(0));

  it('reads what it needs, and nothing beside', async () => {
    const profile = chunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), deflateSync(new Uint8Array(1 << 16))]));
    const path = await file(chunk('IHDR', header()), profile, chunk('IDAT', rows(3)), end);
    expect([...(await readPng(path, [1, 2, 3]))]).toEqual([0, 0, 0, 0, 0, 0]);
    // More bytes than are allowed beside pixels of 8 bits, all of them pixels.
    const [side, zlib] = [530, { level: 0 }] as const;
    const white = new Uint16Array(side * side * 4).fill(65_535);
    const deep = encode({ width: side, height: side, data: white, channels: 4, depth: 16 }, { zlib });
    expect(await readPng(await written(deep), [3, side, side])).toHaveLength(3 * side * side);
  });

  it.each<[string, () => Promise<string>, string]>([
    [
      'pixels without end',
      () => file(chunk('IHDR', header()), chunk('IDAT', deflateSync(new Uint8Array(1 << 24))), end),
      'cannot be unpacked',
    ],
    [
      'a transparent colour',
      () => file(chunk('IHDR', header()), chunk('tRNS', new Uint8Array(2)), chunk('IDAT', rows(3)), end),
      'transparent',
    ],
    ['four bits', () => file(chunk('IHDR', header(4)), chunk('IDAT', rows(2)), end), 'less than 8 bits'],
    ['a palette that is not there', () => file(chunk('IHDR', header(8, 3)), chunk('IDAT', rows(3)), end), 'a palette'],
    [
      'a last row that is short',
      () => file(chunk('IHDR', header()), chunk('IDAT', deflateSync(new Uint8Array(7))), end),
      'has 7 bytes of pixels of 8',
    ],
    [
      'a last pass that is missing',
      // One pixel in the first pass, one in the fourth, one in the sixth, three in the seventh.
      () => file(chunk('IHDR', header(8, 0, 1)), chunk('IDAT', deflateSync(new Uint8Array(6))), end),
      'has 6 bytes of pixels of 10',
    ],
    [
      'another beginning',
      () => file(chunk('teSt', header()), chunk('IHDR', header()), chunk('IDAT', rows(3)), end),
      'does not begin with its sides',
    ],
    [
      'two beginnings',
      () => file(chunk('IHDR', header()), chunk('IHDR', header()), chunk('IDAT', rows(3)), end),
      'says twice',
    ],
    [
      'a chunk that is longer than the file',
      async () =>
        written(Buffer.concat([signature, chunk('IHDR', header()), Buffer.from([255, 0, 0, 0]), Buffer.alloc(20)])),
      'cut off',
    ],
    [
      'a wrong checksum',
      async () => {
        const wrong = chunk('IDAT', rows(3));
        wrong[wrong.length - 1]! ^= 1;
        return file(chunk('IHDR', header()), wrong, end);
      },
      'cannot be read',
    ],
  ])('refuses %s', async (_, path, message) => {
    const reading = readPng(await path(), [1, 2, 3]);
    await expect(reading).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(reading).rejects.toThrow(message);
  });

  it('reads what is interlaced', async () => {
    // Columns 0, 2 and 1 of the first row, then the second row, each pass and row after its filter.
    const passes = Uint8Array.from([0, 10, 0, 30, 0, 20, 0, 40, 50, 60]);
    const path = await file(chunk('IHDR', header(8, 0, 1)), chunk('IDAT', deflateSync(passes)), end);
    expect([...(await readPng(path, [1, 2, 3]))]).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it('refuses palettes', async () => {
    const indexed = encode({ ...size, data: new Uint8Array(6), channels: 1, palette: [[0, 0, 0]] });
    await expect(readPng(await written(indexed), [1, 2, 3])).rejects.toThrow('palette');
  });

  it('fails with its own errors whatever the bytes are', async () => {
    const whole = encode({ ...size, data: Uint8Array.from([0, 9, 8, 7, 6, 5]), channels: 1 });
    const random = new Random(5);
    let read = 0;
    for (let round = 0; round < 300; ++round) {
      const bytes = whole.slice(0, random.unit() < 0.3 ? Math.floor(random.unit() * whole.length) : whole.length);
      for (let flips = 0; flips < 3 && bytes.length > 0; ++flips) {
        bytes[Math.floor(random.unit() * bytes.length)] = Math.floor(random.unit() * 256);
      }
      const path = await written(bytes);
      await readPng(path, [1, 2, 3]).then(
        (levels) => {
          read += 1;
          expect(levels).toHaveLength(6);
        },
        (error: unknown) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_DPM_/) as string });
        },
      );
    }
    expect(read).toBeLessThan(300);
  });
});
