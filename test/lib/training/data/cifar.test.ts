// Binary batches of CIFAR: files and folders, in their order, and such as are damaged.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { encode } from 'fast-png';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

import { openImages } from '../../../../lib/training/data/open-images.js';
import { failure } from '../../../support/failure.js';
import { temporaryFolder } from '../../../support/temporary.js';

const root = temporaryFolder();
let places = 0;

function folder(files: Readonly<Record<string, Uint8Array | string>>): string {
  const path = join(root, String(places++));
  mkdirSync(path);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(path, name), bytes);
  return path;
}

const IMAGE = 3072;
/** An image that its number tells apart, with planes that differ. */
const image = (number: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: IMAGE }, (_, i) => (number * 31 + i + 80 * Math.floor(i / 1024)) % 256));
/** Records of labels and images. */
const records = (...labels: (readonly number[])[]): Buffer =>
  Buffer.concat(labels.flatMap((each, i) => [Buffer.from(each), image(i)]));
const tens = (...labels: number[]): Buffer => records(...labels.map((label) => [label]));

describe('CIFAR-10', () => {
  it('is read in the order of its batches, without that of the tests', async () => {
    const batches = Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [`data_batch_${i + 1}.bin`, tens(i, (3 * i) % 10)]),
    );
    const path = folder({ ...batches, 'test_batch.bin': tens(9), 'batches.meta.txt': 'cat', 'readme.html': '' });
    const { images, labels, shape, broken } = await openImages(path);
    expect([shape, broken]).toEqual([[20, 3, 32, 32], 0]);
    expect([...labels!]).toEqual([0, 0, 1, 3, 2, 6, 3, 9, 4, 2, 5, 5, 6, 8, 7, 1, 8, 4, 9, 7]);
    expect(Buffer.from(images.slice(3 * IMAGE, 4 * IMAGE))).toEqual(image(1));
    expect((await openImages(path, { labels: false })).labels).toBeNull();
  });

  it('may be one file, by its name or its length, of more records than are read at once', async () => {
    for (const name of ['data_batch_3.bin', 'test_batch.bin', 'mine.bin', 'Mine.BIN']) {
      const { labels, shape } = await openImages(join(folder({ [name]: tens(4, 2) }), name));
      expect([[...labels!], shape]).toEqual([
        [4, 2],
        [2, 3, 32, 32],
      ]);
    }
    const many = Array.from({ length: 2100 }, (_, i) => i % 10);
    const path = join(folder({ 'many.bin': tens(...many) }), 'many.bin');
    const { images, labels } = await openImages(path);
    expect([...labels!]).toEqual(many);
    for (const i of [0, 1023, 1024, 2099]) {
      expect(Buffer.from(images.slice(i * IMAGE, (i + 1) * IMAGE))).toEqual(image(i));
    }
  });

  it('has planes, which fit a network of its shape or are resized', async () => {
    const path = join(folder({ 'a.bin': tens(1) }), 'a.bin');
    expect((await openImages(path, { shape: [3, 16, 16], resize: true })).shape).toEqual([1, 3, 16, 16]);
    expect(await failure(openImages(path, { shape: [1, 28, 28] }))).toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
  });
});

describe('CIFAR-100', () => {
  const hundred = records([19, 99], [0, 7]);

  it('has the fine labels, of a folder or a file', async () => {
    const path = folder({ 'train.bin': hundred, 'test.bin': records([1, 1]), 'fine_label_names.txt': '' });
    for (const place of [path, join(path, 'train.bin')]) {
      const { images, labels, shape } = await openImages(place);
      expect([[...labels!], shape]).toEqual([
        [99, 7],
        [2, 3, 32, 32],
      ]);
      expect(Buffer.from(images.slice(IMAGE))).toEqual(image(1));
    }
    expect([...(await openImages(join(path, 'test.bin'))).labels!]).toEqual([1]);
    expect([...(await openImages(join(folder({ 'other.bin': hundred }), 'other.bin'))).labels!]).toEqual([99, 7]);
  });
});

describe('what is no such file', () => {
  it.each<[string, string, Uint8Array, string, RegExp]>([
    [
      'cut off',
      'data_batch_1.bin',
      tens(1, 2).subarray(1),
      'ERR_DPM_FILE_TRUNCATED',
      /6145 bytes.* 3073 bytes \(CIFAR-10\)$/,
    ],
    [
      'too long',
      'train.bin',
      Buffer.concat([records([1, 1]), Buffer.alloc(1)]),
      'ERR_DPM_FILE_TRUNCATED',
      /3074.*-100\)$/,
    ],
    ['of another length', 'a.bin', Buffer.alloc(5), 'ERR_DPM_FILE_TRUNCATED', /3073.*or records of 3074/],
    ['empty', 'test_batch.bin', Buffer.alloc(0), 'ERR_DPM_FILE_TRUNCATED', /has 0 bytes/],
    ['empty, of another name', 'a.bin', Buffer.alloc(0), 'ERR_DPM_FILE_TRUNCATED', /has 0 bytes/],
    ['of class 10', 'a.bin', tens(9, 10), 'ERR_DPM_ARGUMENT', /record 1 has the label 10, CIFAR-10 has 10/],
    [
      'of coarse class 20',
      'a.bin',
      records([19, 0], [20, 0]),
      'ERR_DPM_ARGUMENT',
      /record 1 has the label 20, CIFAR-100 has 20/,
    ],
    [
      'of fine class 100',
      'a.bin',
      records([19, 100]),
      'ERR_DPM_ARGUMENT',
      /record 0 has the label 100, CIFAR-100 has 100/,
    ],
  ])('%s, is refused', async (_, name, bytes, code, message) => {
    const path = join(folder({ [name]: bytes }), name);
    const error = await failure(openImages(path));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toContain(path);
  });

  it('is named as the one of several batches, and none of these may be missing', async () => {
    const damaged = folder({ 'data_batch_1.bin': tens(1), 'data_batch_2.bin': tens(1, 10) });
    expect((await failure(openImages(damaged))).message).toContain(join(damaged, 'data_batch_2.bin'));
    const gap = folder({ 'data_batch_1.bin': tens(1), 'data_batch_3.bin': tens(1) });
    const error = await failure(openImages(gap));
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(error.message).toMatch(/has data_batch_3\.bin without data_batch_2\.bin/);
  });

  it('leaves a folder of pictures one', async () => {
    const path = folder({
      'train.bin': 'other',
      'a.png': encode({ width: 2, height: 1, channels: 1, data: new Uint8Array(2) }),
    });
    expect((await openImages(path)).shape).toEqual([1, 1, 1, 2]);
  });

  it('is refused before memory is taken', async () => {
    vi.stubEnv('DPM_MEMORY', String(4 / 2 ** 20));
    const path = join(folder({ 'a.bin': tens(1) }), 'a.bin');
    expect(await failure(openImages(path))).toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    vi.unstubAllEnvs();
  });
});

it('damaged files give the images of their bytes, or an error that names them', async () => {
  const good = tens(3, 1, 4);
  const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.option(fc.nat(good.length)), async (changes, length) => {
      const bytes = Buffer.from(good.subarray(0, length ?? good.length));
      for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
      const path = join(folder({ 'a.bin': bytes }), 'a.bin');
      const count = bytes.length / (IMAGE + 1);
      const isGood =
        count >= 1 && Number.isInteger(count) && [0, 1, 2].every((i) => i >= count || bytes[i * (IMAGE + 1)]! < 10);
      if (!isGood) {
        const { code, message } = await failure(openImages(path));
        expect(code).toMatch(/^ERR_DPM_(FILE_TRUNCATED|ARGUMENT)$/);
        expect(message).toContain(path);
        return;
      }
      const { images, labels } = await openImages(path);
      const rows = Array.from({ length: count }, (_, i) => bytes.subarray(i * (IMAGE + 1), (i + 1) * (IMAGE + 1)));
      expect([...labels!]).toEqual(rows.map((row) => row[0]));
      expect(Buffer.from(images).equals(Buffer.concat(rows.map((row) => row.subarray(1))))).toBe(true);
    }),
    { numRuns: 60 },
  );
});
