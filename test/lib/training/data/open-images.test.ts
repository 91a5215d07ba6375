// Images to train with, of every kind of file: good ones, damaged ones and such as say that they are large.
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { encode } from 'fast-png';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { writeSafetensors } from '../../../../lib/files/tensor-data.js';
import { openImages, type OpenedImages } from '../../../../lib/training/data/open-images.js';
import { parseNpy, valuesOfNumpy } from '../../../../lib/training/data/npy.js';
import { resizedImage } from '../../../../lib/training/data/resize.js';
import { failure } from '../../../support/failure.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';
import { archive } from '../../../support/write-pytorch.js';

const folder = temporaryFolder();
let places = 0;

function place(...name: string[]): string {
  const path = join(folder, String(places++), ...name);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

function file(name: string, bytes: Uint8Array): string {
  const path = place(name);
  writeFileSync(path, bytes);
  return path;
}

function idx(shape: readonly number[], data: Uint8Array, type = 8): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head.set([0, 0, type, shape.length]);
  shape.forEach((size, i) => head.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([head, data]);
}

function npy(type: string, shape: readonly number[], data: Uint8Array, fortran = 'False'): Buffer {
  const text = `{'descr': '${type}', 'fortran_order': ${fortran}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }\n`;
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(text.length, 8);
  return Buffer.concat([head, Buffer.from(text), data]);
}

const npz = (arrays: Readonly<Record<string, Buffer>>): string =>
  file('a.npz', archive(Object.entries(arrays).map(([name, data]) => ({ name: `${name}.npy`, data }))));

const counted = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i % 251);

function png(path: string, width: number, height: number, channels: 1 | 3 = 1, data?: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, encode({ width, height, channels, data: data ?? counted(width * height * channels) }));
}

const summary = ({ images, labels, shape }: OpenedImages): unknown => ({
  images: [...images],
  labels: labels === null ? null : [...labels],
  shape,
});

describe('IDX', () => {
  it.each([
    ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', false, false],
    ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz', true, true],
    ['t10k-images.idx3-ubyte', 't10k-labels.idx1-ubyte.gz', false, true],
    ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte', true, false],
  ])('%s with %s', async (images, labels, packed, labelsPacked) => {
    const path = file(images, packed ? gzipSync(idx([2, 3, 4], counted(24))) : idx([2, 3, 4], counted(24)));
    const ofLabels = idx([2], Uint8Array.of(9, 0));
    writeFileSync(join(dirname(path), labels), labelsPacked ? gzipSync(ofLabels) : ofLabels);
    expect(summary(await openImages(path))).toEqual({ images: [...counted(24)], labels: [9, 0], shape: [2, 1, 3, 4] });
    expect((await openImages(path, { labels: false })).labels).toBeNull();
  });

  it('without labels, and with channels', async () => {
    const path = file('a.idx', idx([2, 3, 2, 2], counted(24)));
    expect(summary(await openImages(path))).toEqual({ images: [...counted(24)], labels: null, shape: [2, 3, 2, 2] });
  });

  it.each<[string, Buffer, string, RegExp]>([
    ['nothing', Buffer.alloc(0), 'ERR_DPM_FILE_TRUNCATED', /ends before the sizes/],
    ['another mark', Buffer.from('PNG0123456789'), 'ERR_DPM_FILE_HEADER', /no IDX file/],
    ['floats', idx([1, 1, 1], counted(4), 0x0d), 'ERR_DPM_UNSUPPORTED', /type 13/],
    ['fewer bytes', idx([2, 3, 4], counted(23)), 'ERR_DPM_FILE_TRUNCATED', /which its bytes cannot be|ends after 23/],
    ['more bytes', idx([2, 3, 4], counted(25)), 'ERR_DPM_FILE_HEADER', /bytes behind/],
    [
      'sizes of 2^128',
      idx([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], counted(9)),
      'ERR_DPM_FILE_TRUNCATED',
      /cannot be/,
    ],
    ['labels as images', idx([2], counted(2)), 'ERR_DPM_TENSOR_SHAPE', /\[N, H, W\]/],
    ['no images', idx([0, 3, 4], counted(0)), 'ERR_DPM_TENSOR_SHAPE', /there are none/],
    ['images without height', idx([2, 0, 4], counted(0)), 'ERR_DPM_TENSOR_SHAPE', /there are none/],
  ])('refuses %s', async (_, bytes, code, message) => {
    for (const path of [file('a-idx3-ubyte', bytes), file('a-idx3-ubyte.gz', gzipSync(bytes))]) {
      const error = await failure(openImages(path));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(error.message).toContain(path);
    }
  });

  it('refuses a packed file that is damaged or says that it is large', async () => {
    const packed = gzipSync(idx([2, 3, 4], counted(24)));
    expect((await failure(openImages(file('a-idx3-ubyte.gz', packed.subarray(0, 30))))).code).toBe('ERR_DPM_FILE');
    const large = gzipSync(idx([60_000, 1000, 1000], counted(10)));
    const error = await failure(openImages(file('a-idx3-ubyte.gz', large)));
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE_TRUNCATED' });
  });

  it.each<[string, Buffer, string]>([
    ['other counts', idx([3], counted(3)), 'ERR_DPM_TENSOR_SHAPE'],
    ['two sizes', idx([2, 1], counted(2)), 'ERR_DPM_TENSOR_SHAPE'],
  ])('refuses labels of %s', async (_, labels, code) => {
    const path = file('a-images-idx3-ubyte', idx([2, 3, 4], counted(24)));
    writeFileSync(join(dirname(path), 'a-labels-idx1-ubyte'), labels);
    const error = await failure(openImages(path));
    expect(error.code).toBe(code);
    expect(error.message).toContain('a-labels-idx1-ubyte');
  });
});

describe('npz', () => {
  const corpus = (name: string): string => packagePath(`test/fuzz/corpus/npz/${name}.npz`);

  it('as NumPy writes it, stored and compressed', async () => {
    const stored = await openImages(corpus('stored'));
    expect(stored.shape).toEqual([2, 3, 3, 5]);
    expect([...stored.labels!]).toEqual([1, 4]);
    const level = (n: number, y: number, x: number, c: number): number => (7 * (((n * 3 + y) * 5 + x) * 3 + c)) % 256;
    for (const [n, c, y, x] of [
      [0, 0, 0, 0],
      [1, 2, 2, 4],
      [1, 0, 1, 3],
    ] as const) {
      expect(stored.images[((n * 3 + c) * 3 + y) * 5 + x]).toBe(level(n, y, x, c));
    }
    const packed = await openImages(corpus('compressed'));
    expect(summary(packed)).toEqual({ images: [...Array(90).keys()], labels: [2, 0, 1], shape: [3, 1, 6, 5] });
    expect(summary(await openImages(corpus('floats')))).toEqual({
      images: [-1, 0, 0.5, 1],
      labels: null,
      shape: [1, 1, 2, 2],
    });
  });

  it('with channels first', async () => {
    const path = npz({ images: npy('|u1', [2, 3, 5, 6], counted(180)) });
    expect(summary(await openImages(path))).toEqual({ images: [...counted(180)], labels: null, shape: [2, 3, 5, 6] });
  });

  const image = npy('|u1', [1, 2, 2, 1], counted(4));
  it.each<[string, () => string, string, RegExp]>([
    ['no images', () => npz({ a: image }), 'ERR_DPM_TENSOR_MISSING', /no array arr_0, images, x_train; it has: a\.npy/],
    [
      'too many channels',
      () => npz({ images: npy('|u1', [1, 5, 5, 5], counted(125)) }),
      'ERR_DPM_TENSOR_SHAPE',
      /1 to 4/,
    ],
    ['integers', () => npz({ images: npy('<i4', [1, 1, 1, 1], counted(4)) }), 'ERR_DPM_TENSOR_DTYPE', /images are I32/],
    ['levels of 16 bits', () => npz({ images: npy('<u2', [1, 1, 1, 1], counted(2)) }), 'ERR_DPM_TENSOR_DTYPE', /U16/],
    ['highest byte first', () => npz({ images: npy('>f4', [1, 1, 1, 1], counted(4)) }), 'ERR_DPM_TENSOR_DTYPE', />f4/],
    ['objects', () => npz({ images: npy('|O8', [1, 1, 1, 1], counted(8)) }), 'ERR_DPM_TENSOR_DTYPE', /\|O8/],
    ['Fortran', () => npz({ images: npy('|u1', [1, 2, 2, 1], counted(4), 'True') }), 'ERR_DPM_UNSUPPORTED', /Fortran/],
    [
      'fewer bytes',
      () => npz({ images: npy('|u1', [1, 2, 2, 1], counted(3)) }),
      'ERR_DPM_TENSOR_SIZE',
      /needs 4 bytes/,
    ],
    [
      '2^60 elements',
      () => npz({ images: npy('|u1', [2 ** 30, 2 ** 30, 1, 1], counted(3)) }),
      'ERR_DPM_TENSOR_SIZE',
      /needs/,
    ],
    [
      'another header',
      () => npz({ images: Buffer.concat([image.subarray(0, 10), Buffer.alloc(200, 32)]) }),
      'ERR_DPM_FILE_HEADER',
      /cannot be read/,
    ],
    ['no array', () => npz({ images: Buffer.from('none') }), 'ERR_DPM_FILE_HEADER', /no array of NumPy/],
    [
      'too few labels',
      () => npz({ arr_0: image, arr_1: npy('<i8', [2], counted(16)) }),
      'ERR_DPM_TENSOR_SHAPE',
      /\[2\] for 1/,
    ],
    [
      'labels below 0',
      () => npz({ arr_0: image, arr_1: npy('|i1', [1], Uint8Array.of(255)) }),
      'ERR_DPM_ARGUMENT',
      /label -1/,
    ],
    [
      'labels of 2^31',
      () => npz({ arr_0: image, arr_1: npy('<u4', [1], new Uint8Array(Uint32Array.of(2 ** 31).buffer)) }),
      'ERR_DPM_ARGUMENT',
      /label 2147483648 /,
    ],
    [
      'labels that are fractions',
      () => npz({ arr_0: image, arr_1: npy('<f4', [1], new Uint8Array(Float32Array.of(0.5).buffer)) }),
      'ERR_DPM_ARGUMENT',
      /label 0\.5/,
    ],
    ['no archive', () => file('a.npz', counted(100)), 'ERR_DPM_FILE_TRUNCATED', /zip/],
    ['what is not there', () => join(folder, 'none.npz'), 'ERR_DPM_FILE', /cannot open/],
  ])('refuses %s', async (_, path, code, message) => {
    const error = await failure(openImages(path()));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toContain('npz');
  });

  it('refuses an entry that unpacks to more than it says', async () => {
    const bytes = readFileSync(corpus('compressed'));
    const changed = Buffer.from(bytes);
    // The size of the first entry in the directory.
    const entry = bytes.indexOf('PK\x01\x02', 0, 'latin1');
    changed.writeUInt32LE(changed.readUInt32LE(entry + 24) - 10, entry + 24);
    expect((await failure(openImages(file('a.npz', changed)))).code).toBe('ERR_DPM_FILE_HEADER');
  });

  it('parses headers with their keys in any order, and of every version', () => {
    const text = "{'shape': (2,), 'fortran_order': False, 'descr': '<f2'}";
    const head = Buffer.alloc(12);
    head.write('\x93NUMPY\x03\x00', 'latin1');
    head.writeUInt32LE(text.length, 8);
    const array = parseNpy('a', Buffer.concat([head, Buffer.from(text), counted(4)]));
    expect(array).toMatchObject({ dtype: 'F16', shape: [2] });
  });

  it.each([0, 1, 2, 3])('has floats behind a header of any length, %i bytes beside their places', (beside) => {
    const head = npy('<f4', [2], new Uint8Array(Float32Array.of(0.5, -2).buffer));
    const bytes = new Uint8Array(head.length + beside);
    bytes.set(head, beside);
    expect(valuesOfNumpy(parseNpy('a', bytes.subarray(beside)))).toEqual(Float32Array.of(0.5, -2));
  });
});

describe('safetensors', () => {
  it('has images as bytes or floats, and labels', async () => {
    const path = place('a.safetensors');
    const labels = { shape: [2], data: BigInt64Array.of(3n, 1n) };
    await writeSafetensors(path, { images: { shape: [2, 1, 2, 3], data: counted(12) }, labels });
    expect(summary(await openImages(path))).toEqual({ images: [...counted(12)], labels: [3, 1], shape: [2, 1, 2, 3] });
    await writeSafetensors(path, { images: { shape: [1, 1, 1, 2], data: Float32Array.of(-1, 0.25) } });
    const { images } = await openImages(path);
    expect(images).toEqual(Float32Array.of(-1, 0.25));
  });

  it.each<[string, Parameters<typeof writeSafetensors>[1], string]>([
    ['no images', { image: { shape: [1], data: counted(1) } }, 'ERR_DPM_TENSOR_MISSING'],
    ['three sizes', { images: { shape: [1, 1, 1], data: counted(1) } }, 'ERR_DPM_TENSOR_SHAPE'],
    ['doubles', { images: { shape: [1, 1, 1, 1], data: Float64Array.of(1) } }, 'ERR_DPM_TENSOR_DTYPE'],
    [
      'other labels',
      { images: { shape: [1, 1, 1, 1], data: counted(1) }, labels: { shape: [2], data: counted(2) } },
      'ERR_DPM_TENSOR_SHAPE',
    ],
  ])('refuses %s', async (_, tensors, code) => {
    const path = place('a.safetensors');
    await writeSafetensors(path, tensors);
    const error = await failure(openImages(path));
    expect(error.code).toBe(code);
    expect(error.message).toContain(path);
  });
});

describe('folders of pictures', () => {
  it('are read in the order of code points, classes by folders', async () => {
    const root = place('data');
    // Code points order these names otherwise than halves of UTF-16 do.
    const names = ['b', 'B', '\uffee', '\u{1f600}'];
    names.forEach((name, i) => {
      png(join(root, name, 'x.png'), 2, 1, 1, Uint8Array.of(i, i));
    });
    png(join(root, 'b', 'inner', 'a.png'), 2, 1, 1, Uint8Array.of(9, 9));
    png(join(root, 'b', '10.png'), 2, 1, 1, Uint8Array.of(8, 8));
    // A hyphen is before the slash of the folder's own folders.
    png(join(root, 'b', 'inner', 'deep', 'a.png'), 2, 1, 1, Uint8Array.of(7, 7));
    png(join(root, 'b', 'inner-2', 'a.png'), 2, 1, 1, Uint8Array.of(6, 6));
    writeFileSync(join(root, 'notes.txt'), 'not a picture');
    png(join(root, '.hidden', 'x.png'), 5, 5);
    expect(summary(await openImages(root))).toEqual({
      images: [1, 1, 8, 8, 0, 0, 9, 9, 6, 6, 7, 7, 2, 2, 3, 3],
      labels: [0, 1, 1, 1, 1, 1, 2, 3],
      shape: [8, 1, 1, 2],
    });
    const plain = await openImages(root, { labels: false });
    expect([plain.labels, plain.shape]).toEqual([null, [8, 1, 1, 2]]);
  });

  it('are read in the order of code points in one folder, too', async () => {
    const root = place('data');
    ['\u{1f600}', '\uffee', 'b', 'B'].forEach((name, i) => {
      png(join(root, `${name}.png`), 1, 1, 1, Uint8Array.of(i));
    });
    expect([...(await openImages(root)).images]).toEqual([3, 2, 1, 0]);
  });

  it('are found 32 folders deep, and no deeper', async () => {
    const root = place('data');
    png(join(root, ...Array<string>(32).fill('d'), 'a.png'), 1, 1);
    expect((await openImages(root, { labels: false })).shape).toEqual([1, 1, 1, 1]);
    png(join(root, ...Array<string>(33).fill('d'), 'a.png'), 1, 1);
    expect((await failure(openImages(root, { labels: false }))).message).toMatch(/more than 32 deep/);
  });

  it('without folders have no labels; grey ones serve for RGB', async () => {
    const root = place('data');
    png(join(root, 'a.png'), 2, 2, 3);
    png(join(root, 'b.png'), 2, 2, 1);
    const { labels, shape } = await openImages(root, { shape: [3, 2, 2] });
    expect([labels, shape]).toEqual([null, [2, 3, 2, 2]]);
  });

  it('name a picture of another size, and one in the middle that is broken', async () => {
    const root = place('data');
    ['a', 'b', 'c', 'd'].forEach((name, i) => {
      png(join(root, name, `${i}.png`), 2, 2);
    });
    png(join(root, 'c', '2.png'), 3, 2);
    const misfit = await failure(openImages(root));
    expect([misfit.code, misfit.message]).toEqual([
      'ERR_DPM_TENSOR_SHAPE',
      expect.stringContaining(join('c', '2.png')),
    ]);
    png(join(root, 'c', '2.png'), 2, 2);
    writeFileSync(
      join(root, 'b', '1.png'),
      encode({ width: 2, height: 2, channels: 1, data: counted(4) }).subarray(0, 50),
    );
    const broken = await failure(openImages(root));
    expect(broken.code).toBe('ERR_DPM_FILE');
    expect(broken.message).toContain(join('b', '1.png'));
    expect(broken.message).toContain('skipBroken');
    const progress: string[] = [];
    const rest = await openImages(root, {
      skipBroken: true,
      onProgress: (done, total) => progress.push(`${done}/${total}`),
    });
    expect(rest).toMatchObject({ broken: 1, shape: [3, 1, 2, 2] });
    expect([...rest.labels!]).toEqual([0, 2, 3]);
    expect(rest.images).toHaveLength(3 * 4);
    expect(progress).toEqual(['1/4', '2/4', '3/4', '4/4']);
  });

  it('have JPEG beside PNG, told apart by their first bytes', async () => {
    const root = place('data');
    mkdirSync(root);
    const pictures = ['444.png', '444.jpg', 'grey.png', 'grey.jpg'];
    pictures.forEach((name, i) => {
      // A camera's ending, and names that say what the files are not.
      const ending = ['.JPEG', '.jpg', '.jpeg', '.png'][i]!;
      copyFileSync(packagePath(`test/fixtures/jpeg/${name}`), join(root, `${i}${ending}`));
    });
    const { images, shape, broken } = await openImages(root);
    expect([shape, broken]).toEqual([[4, 3, 19, 21], 0]);
    const size = 3 * 19 * 21;
    const imageOf = (i: number): Uint8Array => images.slice(i * size, (i + 1) * size) as Uint8Array;
    expect(imageOf(0)).toEqual(imageOf(1));
    expect(imageOf(2)).toEqual(imageOf(3));
    const resized = await openImages(root, { shape: [3, 8, 8], resize: true });
    expect(resized.images.subarray(0, 192)).toEqual(resized.images.subarray(192, 384));
    // What resizing mends is told with it, and nothing else.
    const small = await failure(openImages(root, { shape: [3, 8, 8] }));
    expect(small).toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    expect(small.message).toMatch(
      /21 x 19 pixels, it has to have 8 x 8; resize \(--resize\) makes all pictures one size$/,
    );
    expect((await failure(openImages(root, { shape: [1, 19, 21] }))).message).toMatch(/it has to have 1 channels$/);
  });

  it('leave out JPEG that is damaged, cut off or of CMYK, where that is asked', async () => {
    const root = place('data');
    mkdirSync(root);
    const whole = readFileSync(packagePath('test/fixtures/jpeg/420.jpg'));
    const stuffed = Buffer.concat([whole.subarray(0, -60), whole.subarray(-2)]);
    writeFileSync(join(root, 'a.jpg'), whole.subarray(0, 300));
    const cut = await failure(openImages(root));
    expect([cut.code, cut.message]).toEqual([
      'ERR_DPM_FILE_TRUNCATED',
      `${join(root, 'a.jpg')}: the JPEG is cut off (leave such pictures out by skipBroken, --skip-broken)`,
    ]);
    writeFileSync(join(root, 'b.jpg'), stuffed);
    copyFileSync(packagePath('test/fixtures/jpeg/cmyk.jpg'), join(root, 'c.jpg'));
    writeFileSync(join(root, 'd.jpg'), 'none');
    writeFileSync(join(root, 'e.jpg'), '');
    writeFileSync(join(root, 'f.jpg'), whole);
    expect(await openImages(root, { skipBroken: true })).toMatchObject({ broken: 5, shape: [1, 3, 19, 21] });
  });

  it('are refused where a picture has more than 256 MiB, before that is read', async () => {
    const root = place('data');
    mkdirSync(root);
    for (const [size, message] of [
      [2 ** 28 + 1, /a\.jpg: 268435457 bytes are more than a picture may have/],
      [0, /a\.jpg: this is neither PNG nor JPEG/],
    ] as const) {
      writeFileSync(join(root, 'a.jpg'), '');
      truncateSync(join(root, 'a.jpg'), size);
      const error = await failure(openImages(root));
      expect([error.code, error.message]).toEqual(['ERR_DPM_FILE', expect.stringMatching(message)]);
    }
  });

  it('of a broken first picture take the shape of the next', async () => {
    const root = place('data');
    mkdirSync(root);
    writeFileSync(join(root, 'a.png'), 'none');
    png(join(root, 'b.png'), 3, 2);
    expect(await openImages(root, { skipBroken: true })).toMatchObject({ broken: 1, shape: [1, 1, 2, 3] });
    writeFileSync(join(root, 'b.png'), 'none');
    expect((await failure(openImages(root, { skipBroken: true }))).message).toMatch(/none of 2 pictures/);
  });

  it.each<[string, (root: string) => void, RegExp]>([
    ['nothing', () => undefined, /no PNG or JPEG files/],
    [
      'a picture beside classes',
      (root) => {
        png(join(root, 'x', 'a.png'), 1, 1);
        png(join(root, 'b.png'), 1, 1);
      },
      /b\.png lies beside/,
    ],
    [
      'an empty class',
      (root) => {
        png(join(root, 'x', 'a.png'), 1, 1);
        mkdirSync(join(root, 'y'));
      },
      /y has no PNG or JPEG files/,
    ],
    [
      'a picture of another format',
      (root) => {
        writeFileSync(join(root, 'a.webp'), '');
      },
      /a\.webp: only PNG and JPEG files are read/,
    ],
    [
      'a circle',
      (root) => {
        symlinkSync(root, join(root, 'x'));
      },
      /deep, or in a circle/,
    ],
  ])('refuse %s', async (_, fill, message) => {
    const root = place('data');
    mkdirSync(root);
    fill(root);
    const error = await failure(openImages(root));
    expect(error.code).toBe('ERR_DPM_FILE');
    expect(error.message).toMatch(message);
  });

  it('stop where that is asked', async () => {
    const root = place('data');
    png(join(root, 'a.png'), 1, 1);
    expect((await failure(openImages(root, { signal: AbortSignal.abort() }))).code).toBe('ERR_DPM_ABORTED');
  });
});

describe('shapes of the network', () => {
  const image = (shape: number[]): string => file('a.idx', idx(shape, counted(shape.reduce((a, b) => a * b, 1))));

  it('are required, and named with the file', async () => {
    const path = image([2, 4, 4]);
    expect((await openImages(path, { shape: [1, 4, 4] })).shape).toEqual([2, 1, 4, 4]);
    for (const [shape, hint] of [
      [[1, 2, 2], /resize/],
      [[3, 4, 4], /\[N, 3, 4, 4\]$/],
    ] as const) {
      const error = await failure(openImages(path, { shape }));
      expect(error.code).toBe('ERR_DPM_TENSOR_SHAPE');
      expect(error.message).toContain(path);
      expect(error.message).toMatch(hint);
    }
    expect((await failure(openImages(path, { shape: [3, 2, 2], resize: true }))).code).toBe('ERR_DPM_TENSOR_SHAPE');
  });

  it('are reached by resizing, of files and pictures alike', async () => {
    const levels = counted(64).map((i) => (37 * i * i) % 251);
    const path = file('a.idx', idx([1, 4, 16], levels));
    const root = place('data');
    png(join(root, 'a.png'), 16, 4, 1, levels);
    const options = { shape: [1, 2, 8], resize: true } as const;
    const [ofFile, ofPicture] = [await openImages(path, options), await openImages(root, options)];
    expect([ofFile.shape, ofPicture.shape]).toEqual([
      [1, 1, 2, 8],
      [1, 1, 2, 8],
    ]);
    expect(ofPicture.images).toEqual(ofFile.images);
    // Halves are means of 2 x 2.
    expect(ofFile.images[0]).toBe(Math.round((levels[0]! + levels[1]! + levels[16]! + levels[17]!) / 4));
  });

  it('is cut from the middle where one side fits', () => {
    const wide = Float32Array.from({ length: 2 * 8 }, (_, i) => i);
    expect([...resizedImage(wide, [1, 2, 8], [2, 4])]).toEqual([2, 3, 4, 5, 10, 11, 12, 13]);
    const tall = Float32Array.from({ length: 8 * 2 }, (_, i) => i);
    expect([...resizedImage(tall, [1, 8, 2], [4, 2])]).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('is that of the call, whatever becomes of its argument', async () => {
    const shape: [number, number, number] = [1, 4, 4];
    const opening = openImages(image([2, 4, 4]), { shape });
    shape[1] = 9;
    expect((await opening).shape).toEqual([2, 1, 4, 4]);
  });

  it('keep what is constant, and the middle', () => {
    const side = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(side, side, side, side, (height, width, toHeight, toWidth) => {
        const constant = resizedImage(
          new Float32Array(height * width).fill(7),
          [1, height, width],
          [toHeight, toWidth],
        );
        expect(constant).toHaveLength(toHeight * toWidth);
        for (const value of constant) expect(value).toBeCloseTo(7, 4);
        const ramp = Float32Array.from({ length: height * width }, (_, i) => (i % width) - (width - 1) / 2);
        const resized = resizedImage(ramp, [1, height, width], [toHeight, toWidth]);
        const mean = resized.reduce((sum, value) => sum + value, 0) / resized.length;
        // The middle may be half a pixel beside.
        expect(Math.abs(mean)).toBeLessThanOrEqual(Math.max(1, width / toWidth));
      }),
    );
  });
});

describe('opening images', () => {
  it('tells data apart', async () => {
    const levels = counted(24);
    const one = await openImages(file('a.idx', idx([2, 3, 4], levels)));
    expect(one.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect((await openImages(file('b.idx', idx([2, 3, 4], levels)))).fingerprint).toBe(one.fingerprint);
    const others = [
      idx([2, 4, 3], levels),
      idx(
        [2, 3, 4],
        levels.map((level) => level + 1),
      ),
      idx([1, 6, 4], levels),
    ];
    for (const other of others) {
      expect((await openImages(file('c.idx', other))).fingerprint).not.toBe(one.fingerprint);
    }
    const labelled = npz({ arr_0: npy('|u1', [2, 3, 4], levels), arr_1: npy('|u1', [2], Uint8Array.of(0, 1)) });
    expect((await openImages(labelled)).fingerprint).not.toBe(one.fingerprint);
    expect((await openImages(labelled, { labels: false })).fingerprint).toBe(one.fingerprint);
    // Those of many images that are read lie among all of them.
    const many = new Uint8Array(128);
    const first = await openImages(file('many.idx', idx([128, 1, 1], many)));
    many[126] = 1;
    expect((await openImages(file('more.idx', idx([128, 1, 1], many)))).fingerprint).not.toBe(first.fingerprint);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ['another file', () => openImages(file('a.txt', counted(3))), 'ERR_DPM_ARGUMENT'],
    ['nothing', () => openImages(join(folder, 'nothing')), 'ERR_DPM_FILE'],
    ['no path', () => openImages(3 as never), 'ERR_DPM_ARGUMENT'],
    ['an unknown option', () => openImages('a', { size: 3 } as never), 'ERR_DPM_ARGUMENT'],
    ['half a shape', () => openImages('a', { shape: [1, 2] as never }), 'ERR_DPM_ARGUMENT'],
  ])('refuses %s', async (_, work, code) => {
    expect((await failure(work())).code).toBe(code);
  });
});
