// Pictures in JPEG: pixels as Pillow has them, the kinds that are refused, and files that say what they are not.
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { JpegCodec, loadDecoder } from '../../../lib/images/jpeg/codec.js';
import { frameOfJpeg } from '../../../lib/images/jpeg/frame.js';
import { readJpegBytes, shapeOfJpegBytes } from '../../../lib/images/jpeg/read-jpeg.js';
import { readPngBytes, shapeOfPngBytes } from '../../../lib/images/read-png.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

const folder = packagePath('test/fixtures/jpeg');
const bytesOf = (name: string): Buffer => readFileSync(`${folder}/${name}`);
const codec = new JpegCodec();
const read = (bytes: Uint8Array, shape: readonly number[]): Promise<Float32Array> =>
  readJpegBytes('a.jpg', bytes, shape, codec);
const decoded = async (bytes: Uint8Array): Promise<Float32Array> => read(bytes, shapeOfJpegBytes('a.jpg', bytes));

/** A segment: its marker, and how long it is. */
function segment(marker: number, data: readonly number[]): Buffer {
  const length = data.length + 2;
  return Buffer.from([0xff, marker, length >> 8, length & 255, ...data]);
}

/** A frame of components that are sampled once. */
function frame(
  height: number,
  width: number,
  { marker = 0xc0, bits = 8, components = 1, sampling = 0x11 }: Record<string, number> = {},
): Buffer {
  const each = Array.from({ length: components }, (_, i) => [i, sampling, 0]).flat();
  return segment(marker, [bits, height >> 8, height & 255, width >> 8, width & 255, components, ...each]);
}

const start = Buffer.from([0xff, 0xd8]);
const end = Buffer.from([0xff, 0xd9]);
const scan = segment(0xda, [1, 0, 0, 0, 63, 0]);
const jpeg = (...segments: readonly Buffer[]): Buffer => Buffer.concat([start, ...segments, end]);

const refusal = async (bytes: Uint8Array): Promise<readonly [string, string]> => {
  const { code, message } = await failure(decoded(bytes));
  return [code, message];
};

describe('pixels of a JPEG', () => {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.png'))
    .map((name) => basename(name, '.png'));

  // The decoder is of the family that Pillow has: the same inverse transform, and the same smoothing of coarse colours.
  it.each(names)('are those of Pillow, each of them: %s', async (name) => {
    const [bytes, png] = [bytesOf(`${name}.jpg`), bytesOf(`${name}.png`)];
    const shape = shapeOfPngBytes('a.png', png);
    expect(shapeOfJpegBytes('a.jpg', bytes)).toEqual(shape);
    const [levels, wanted] = [await read(bytes, shape), readPngBytes('a.png', png, shape)];
    expect(levels.length).toBe(wanted.length);
    expect(levels.reduce((most, level, i) => Math.max(most, Math.abs(level - wanted[i]!)), 0)).toBe(0);
  });

  it('are grey for each channel, and colours for three', async () => {
    const grey = await read(bytesOf('grey.jpg'), [1, 19, 21]);
    // One channel more than RGBA has colours.
    const four = await read(bytesOf('grey.jpg'), [4, 19, 21]);
    expect(four).toEqual(Float32Array.of(...grey, ...grey, ...grey, ...grey));
    const error = await failure(read(bytesOf('444.jpg'), [1, 19, 21]));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_TENSOR_SHAPE',
      'a.jpg: the image is RGB, it has to have 1 channels',
    ]);
  });

  it('are of the sides that are asked', async () => {
    const error = await failure(read(bytesOf('444.jpg'), [3, 21, 19]));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_TENSOR_SHAPE',
      'a.jpg: the image has 21 x 19 pixels, it has to have 19 x 21',
    ]);
  });

  it('are the same behind fill bytes, and before bytes that are no more of it', async () => {
    const bytes = bytesOf('420.jpg');
    const wanted = await decoded(bytes);
    expect(await decoded(Buffer.concat([start, Buffer.from([0xff, 0xff]), bytes.subarray(2)]))).toEqual(wanted);
    expect(await decoded(Buffer.concat([bytes, start]))).toEqual(wanted);
    const stray = Buffer.concat([bytes.subarray(0, -2), Buffer.from([1, 2, 3]), end]);
    expect(await decoded(stray)).toEqual(wanted);
  });

  it('leave the globals as they were', async () => {
    const own = Uint8Array;
    for (const there of [undefined, own]) {
      vi.stubGlobal('ImageData', there);
      if (there === undefined) Reflect.deleteProperty(globalThis, 'ImageData');
      await readJpegBytes('a.jpg', bytesOf('grey.jpg'), [1, 19, 21], new JpegCodec());
      expect(Reflect.get(globalThis, 'ImageData')).toBe(there);
      expect(Reflect.has(globalThis, 'ImageData')).toBe(there !== undefined);
    }
    vi.unstubAllGlobals();
  });
});

describe('a JPEG is refused', () => {
  it.each<[string, Buffer, RegExp]>([
    ['that is none', Buffer.from('none'), /this is no JPEG/],
    ['without a picture', jpeg(), /has no picture/],
    ['of CMYK', bytesOf('cmyk.jpg'), /has 4 components, as CMYK; save it as/],
    ['of two components', jpeg(frame(8, 8, { components: 2 }), scan), /has 2 components; save/],
    ['of 12 bits', jpeg(frame(8, 8, { marker: 0xc1, bits: 12 }), scan), /has 12 bits; save/],
    ['that is lossless', jpeg(frame(8, 8, { marker: 0xc3 }), scan), /is lossless; save/],
    ['that is lossless and arithmetic', jpeg(frame(8, 8, { marker: 0xcb }), scan), /is lossless; save/],
    ['of arithmetic coding', jpeg(frame(8, 8, { marker: 0xc9 }), scan), /is coded arithmetically; save/],
    [
      'of arithmetic coding, of which it says more',
      jpeg(segment(0xcc, [0, 16]), frame(8, 8, { marker: 0xc9 })),
      /arithm/,
    ],
    ['of progressive arithmetic coding', jpeg(frame(8, 8, { marker: 0xca }), scan), /is coded arithmetically/],
    ['that is hierarchical', jpeg(frame(8, 8, { marker: 0xc5 }), scan), /is hierarchical; save/],
    ['without rows', jpeg(frame(0, 8), scan), /says that it has 8 x 0 pixels/],
    ['without columns', jpeg(frame(8, 0), scan), /says that it has 0 x 8 pixels/],
    ['of too many pixels', jpeg(frame(65_535, 65_535), scan), /says that it has 65535 x 65535 pixels/],
    ['sampled not at all', jpeg(frame(8, 8, { sampling: 0x01 }), scan), /sampled 0 or more than 4 times/],
    ['sampled 15 times', jpeg(frame(8, 8, { sampling: 0x1f }), scan), /sampled 0 or more than 4 times/],
    ['whose frame is too short', jpeg(segment(0xc0, [8, 0, 8, 0, 8, 3, 0, 0, 0]), scan), /too short or too long/],
    ['whose frame is empty', jpeg(segment(0xc0, []), scan), /too short or too long/],
    ['of 101 scans', jpeg(frame(8, 8), ...Array.from({ length: 101 }, () => scan)), /more than 100 scans/],
    ['that has a frame and nothing else', jpeg(frame(8, 8)), /is damaged/],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toEqual(['ERR_DPM_FILE', expect.stringMatching(message)]);
  });

  it('that is cut off, wherever that is', async () => {
    for (const name of ['420.jpg', 'progressive.jpg', 'restarts.jpg']) {
      const bytes = bytesOf(name);
      for (let size = 2; size < bytes.length; ++size) {
        expect(await refusal(bytes.subarray(0, size))).toEqual([
          'ERR_DPM_FILE_TRUNCATED',
          'a.jpg: the JPEG is cut off',
        ]);
      }
    }
  });

  it('that has fewer bits than blocks', async () => {
    // 64 x 64 pixels are 64 blocks, or 192 of three components; of half the colours 64 + 2 * 16.
    const beside = jpeg(frame(8, 8)).length;
    const sized = (components: number, bytes: number): Buffer =>
      jpeg(
        frame(1024, 1024, { components }),
        segment(0xfe, Array<number>(bytes - beside - 3 * (components - 1) - 4).fill(0)),
      );
    for (const [components, bytes] of [
      [1, 2048],
      [3, 3 * 2048],
    ] as const) {
      expect(sized(components, bytes).length).toBe(bytes);
      expect(frameOfJpeg('a.jpg', sized(components, bytes)).width).toBe(1024);
      expect(await refusal(sized(components, bytes - 1))).toEqual([
        'ERR_DPM_FILE_TRUNCATED',
        `a.jpg: the JPEG says that it has 1024 x 1024 pixels, which ${bytes - 1} bytes cannot hold`,
      ]);
    }
  });

  it('that takes more memory than there is, before that is taken', async () => {
    const bytes = bytesOf('white.jpg');
    const needed = 512 * 256 * (14 + 3 * 4);
    vi.stubEnv('DPM_MEMORY', String((2 * needed) / 2 ** 30));
    await decoded(bytes);
    vi.stubEnv('DPM_MEMORY', String((2 * needed - 2) / 2 ** 30));
    const decode = vi.spyOn(codec, 'decode');
    expect((await refusal(bytes))[0]).toBe('ERR_DPM_OUT_OF_MEMORY');
    expect(decode).not.toHaveBeenCalled();
    decode.mockRestore();
  });

  it('whose data are damaged, and the next one is read', async () => {
    const bytes = bytesOf('420.jpg');
    const wanted = await decoded(bytes);
    const tables = Buffer.from(bytes);
    tables[bytes.indexOf(Buffer.from([0xff, 0xc4])) + 5] = 0xff;
    const data = Buffer.concat([bytes.subarray(0, -60), end]);
    const progressive = bytesOf('progressive.jpg');
    const again = Buffer.concat([start, frame(8, 8), bytes.subarray(2)]);
    const lastScan = progressive.lastIndexOf(Buffer.from([0xff, 0xda]));
    const twice = Buffer.concat([progressive.subarray(0, -2), progressive.subarray(lastScan)]);
    for (const damaged of [tables, data, Buffer.concat([progressive.subarray(0, -200), end]), twice, again]) {
      expect(await refusal(damaged)).toEqual([
        'ERR_DPM_FILE',
        expect.stringMatching(/^a\.jpg: the JPEG is damaged: \w/),
      ]);
      expect(await decoded(bytes)).toEqual(wanted);
    }
  });

  it('that has no end, by the decoder too', async () => {
    const error = await failure(codec.decode('a.jpg', bytesOf('progressive.jpg').subarray(0, -2)));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_FILE',
      'a.jpg: the JPEG is damaged: Premature end of JPEG file',
    ]);
  });

  it('by a decoder that is made anew where it has ended, as it keeps what it took', async () => {
    let made = 0;
    const counting = new JpegCodec(async () => {
      const [make, wasm] = await loadDecoder();
      return [(options) => (++made, make(options)), wasm];
    });
    const whole = bytesOf('grey.jpg');
    for (const [bytes, wanted] of [
      [whole, 1],
      [whole, 1],
      [jpeg(frame(8, 8)), 1],
      [whole, 2],
      // It is filled up, with a warning.
      [whole.subarray(0, -2), 2],
      [whole, 2],
    ] as const) {
      await counting.decode('a.jpg', bytes).catch(() => undefined);
      expect(made).toBe(wanted);
    }
  });

  it.each([
    ['ExitStatus', 'Insufficient memory (case 4)', new Error('exit(1)')],
    ['RangeError', 'Nothing', new RangeError('Array buffer allocation failed')],
  ])('as one that there is no memory for, where the decoder says that: %s', async (_, line, error) => {
    const full = new JpegCodec(async () => {
      const [, wasm] = await loadDecoder();
      const decode = (printErr: (line: string) => void) => (): never => {
        printErr(line);
        throw error;
      };
      return [({ printErr }) => Promise.resolve({ decode: decode(printErr) }), wasm];
    });
    expect(await failure(full.decode('a.jpg', bytesOf('grey.jpg')))).toMatchObject({
      code: 'ERR_DPM_OUT_OF_MEMORY',
      message: 'a.jpg: there is no memory to decode the JPEG',
      cause: error,
    });
  });

  it('in a moment, whatever it says', async () => {
    const bytes = bytesOf('progressive.jpg');
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, byte) => {
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        const began = performance.now();
        await decoded(changed).catch((error: unknown) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_DPM_FILE/) as string });
        });
        expect(performance.now() - began).toBeLessThan(5000);
      }),
      { numRuns: 200 },
    );
  });
});
