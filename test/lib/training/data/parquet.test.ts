// Pictures in Parquet files: those that others write, and files put together by hand of which something is wrong.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { encode } from 'fast-png';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it, vi } from 'vitest';

import { DpmError } from '../../../../lib/base/errors.js';
import { openImages } from '../../../../lib/training/data/open-images.js';
import type { OpenImagesOptions } from '../../../../lib/training/data/options.js';
import { failure } from '../../../support/failure.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';
import {
  byteArrays,
  dataPage,
  dataPage2,
  dictionaryPage,
  integers,
  labelColumn,
  parquetFile,
  pictureColumn,
  thrift,
  varint,
  type ThriftStruct,
  type WrittenColumn,
  type WrittenFooter,
} from '../../../support/write-parquet.js';
import { bytes, u32, type Part } from '../../../support/write-pytorch.js';

const root = temporaryFolder();
let places = 0;

function place(...name: string[]): string {
  const path = join(root, String(places++), ...name);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

function file(content: Uint8Array, name = 'a.parquet'): string {
  const path = place(name);
  writeFileSync(path, content);
  return path;
}

const fixture = (name: string): string => packagePath(`test/fixtures/parquet/${name}`);
const expected = JSON.parse(readFileSync(fixture('expected.json'), 'utf8')) as {
  shape: number[];
  images: number[];
  labels: number[];
};

/** A picture of one grey pixel. */
const grey = (level: number): Uint8Array => encode({ width: 1, height: 1, channels: 1, data: Uint8Array.of(level) });
const pictures = [grey(5), grey(6), grey(7)];

interface Written extends WrittenFooter {
  rows?: number;
  image?: Partial<WrittenColumn>;
  label?: Partial<WrittenColumn>;
}

/** A file of three pictures and their labels, with parts that are other than they should be. */
const small = ({ rows = 3, image, label, ...changed }: Written = {}): Buffer =>
  parquetFile(rows, [pictureColumn(pictures, image), labelColumn([0, 1, 2], label)], changed);

describe('files of pyarrow', () => {
  it.each(['snappy', 'dictionary', 'pages', 'zstd', 'gzip', 'brotli', 'lz4'])('%s', async (name) => {
    const { images, labels, shape, broken } = await openImages(fixture(`${name}.parquet`));
    expect({ images: [...images], labels: [...labels!], shape, broken }).toEqual({ ...expected, broken: 0 });
  });

  it('without some of the pictures', async () => {
    const path = fixture('nulls.parquet');
    const error = await failure(openImages(path));
    expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(error.message).toMatch(
      /nulls\.parquet: column 'img\.bytes', row 0 has no picture \(leave such pictures out by skipBroken/,
    );
    const progress: string[] = [];
    const { images, labels, shape, broken } = await openImages(path, {
      skipBroken: true,
      onProgress: (done, total) => progress.push(`${done}/${total}`),
    });
    expect([broken, shape]).toEqual([2, [6, 3, 2, 3]]);
    expect([...images]).toEqual(expected.images.slice(2 * 18));
    expect([...labels!]).toEqual(expected.labels.slice(2));
    expect(progress).toEqual(Array.from({ length: 8 }, (_, i) => `${i + 1}/8`));
  });

  it('without labels, of other sides, or stopped', async () => {
    const path = fixture('snappy.parquet');
    expect((await openImages(path, { labels: false })).labels).toBeNull();
    expect((await openImages(path, { shape: [3, 4, 4], resize: true })).shape).toEqual([8, 3, 4, 4]);
    const misfit = await failure(openImages(path, { shape: [3, 4, 4] }));
    expect([misfit.code, misfit.message]).toEqual([
      'ERR_DPM_TENSOR_SHAPE',
      expect.stringContaining("snappy.parquet: column 'image.bytes', row 0"),
    ]);
    expect(await failure(openImages(path, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('of an encoding that is not read', async () => {
    const error = await failure(openImages(fixture('delta.parquet')));
    expect(error).toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    expect(error.message).toMatch(/delta\.parquet: column 'png' has the encoding 6/);
  });
});

describe('folders', () => {
  function folder(names: Readonly<Record<string, Buffer>>): string {
    const path = place('data set');
    for (const [name, content] of Object.entries(names)) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), content);
    }
    return path;
  }
  const one = (level: number, name = 'image'): Buffer =>
    parquetFile(1, [pictureColumn([grey(level)], { name }), labelColumn([level])]);
  const labelsOf = async (path: string): Promise<number[]> => [...(await openImages(path)).labels!];

  it('are read in the order of names, train alone where it is', async () => {
    const train = { 'train-00001-of-00002.parquet': one(2), 'train-00000-of-00002-ab12.parquet': one(1) };
    const others = { 'test-00000-of-00001.parquet': one(3), 'README.md': Buffer.from('') };
    expect(await labelsOf(folder({ ...train, ...others }))).toEqual([1, 2]);
    const inner = Object.fromEntries(Object.entries({ ...train, ...others }).map(([name, at]) => [`data/${name}`, at]));
    expect(await labelsOf(folder(inner))).toEqual([1, 2]);
    expect(await labelsOf(folder({ '0001.parquet': one(5), '0000.parquet': one(4), '.x.parquet': one(9) }))).toEqual([
      4, 5,
    ]);
    expect(await labelsOf(folder({ 'test-0-of-2.parquet': one(4), 'test-1-of-2.parquet': one(6) }))).toEqual([4, 6]);
    expect(await labelsOf(folder({ 'train.parquet': one(7), 'validation.parquet': one(8) }))).toEqual([7]);
  });

  it('of several splits, none of them train, are refused', async () => {
    const path = folder({ 'test-0-of-1.parquet': one(4), 'validation-0-of-1.parquet': one(6) });
    const error = await failure(openImages(path));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_UNSUPPORTED',
      expect.stringMatching(/has the splits test, validation, and none named train/),
    ]);
  });

  it('of files with other columns are refused', async () => {
    const path = folder({ '0.parquet': one(1), '1.parquet': one(2, 'img') });
    const error = await failure(openImages(path));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_UNSUPPORTED',
      expect.stringMatching(/1\.parquet: the column of images is 'img', that of .*0\.parquet is 'image'/),
    ]);
    const unlabelled = parquetFile(1, [pictureColumn([grey(1)])]);
    const halves = folder({ '0.parquet': one(1), '1.parquet': unlabelled });
    expect((await failure(openImages(halves))).message).toMatch(/column of labels is none, that of .* is 'label'/);
    expect((await openImages(halves, { labels: false })).shape).toEqual([2, 1, 1, 1]);
  });

  it('of pictures may have such a file beside them', async () => {
    const flat = folder({ 'a.png': Buffer.from(grey(1)), 'b.parquet': one(1) });
    expect((await openImages(flat)).labels).toBeNull();
    const classes = folder({ 'x/a.png': Buffer.from(grey(1)), 'metadata.parquet': one(7) });
    expect(await labelsOf(classes)).toEqual([0]);
  });
});

describe('columns', () => {
  const png = grey(3);
  const open = (columns: readonly WrittenColumn[], options?: OpenImagesOptions) =>
    openImages(file(parquetFile(1, columns)), options);

  it('are found by their types and names', async () => {
    for (const name of ['image', 'anything']) {
      expect((await open([pictureColumn([png], { name }), labelColumn([4])])).images).toEqual(Uint8Array.of(3));
    }
    const mask = pictureColumn([grey(9)], { name: 'mask' });
    expect((await open([mask, pictureColumn([png], { name: 'img' })])).images).toEqual(Uint8Array.of(3));
    const labels = ['fine_label', 'coarse_label', 'label'].map((name, i) => labelColumn([i], { name }));
    expect((await open([...labels, pictureColumn([png])])).labels).toEqual(Int32Array.of(2));
    expect((await open([...labels.slice(0, 2), pictureColumn([png])])).labels).toEqual(Int32Array.of(0));
    expect((await open([pictureColumn([png])])).labels).toBeNull();
  });

  const text = pictureColumn([png], { name: 'text', element: { 6: 0 } });
  const logical = pictureColumn([png], { name: 'caption', element: { 10: { 1: {} } } });
  const list = pictureColumn([png], { name: 'parts', element: { 3: 2 } });
  it.each<[string, readonly WrittenColumn[], string, RegExp]>([
    [
      'none of images',
      [text, logical, list, labelColumn([1])],
      'ERR_DPM_TENSOR_MISSING',
      /no column of images; its columns: text \(BYTE_ARRAY\), caption \(BYTE_ARRAY\), parts \(BYTE_ARRAY\), label \(INT64\)$/,
    ],
    [
      'two that could be',
      [pictureColumn([png], { name: 'before' }), pictureColumn([png], { name: 'after' })],
      'ERR_DPM_UNSUPPORTED',
      /several columns of bytes: before, after; none is named image/,
    ],
    [
      'labels that are texts',
      [pictureColumn([png]), { ...text, name: 'label' }],
      'ERR_DPM_UNSUPPORTED',
      /column 'label' \(BYTE_ARRAY\) has no integer for each image; labels: false/,
    ],
    [
      'labels that are days',
      [pictureColumn([png]), labelColumn([1], { element: { 6: 6 } })],
      'ERR_DPM_UNSUPPORTED',
      /'label'/,
    ],
    [
      'several labels',
      [pictureColumn([png]), labelColumn([1], { element: { 3: 2 } })],
      'ERR_DPM_UNSUPPORTED',
      /'label'/,
    ],
  ])('%s', async (_, columns, code, message) => {
    const error = await failure(open(columns));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toContain('a.parquet');
  });

  it('of labels that are no integers can be left out', async () => {
    expect((await open([pictureColumn([png]), { ...text, name: 'label' }], { labels: false })).labels).toBeNull();
  });
});

describe('pages', () => {
  const opened = async (changed: Written): Promise<unknown> => {
    const { images, labels } = await openImages(file(small(changed)));
    return [...images, ...labels!];
  };
  const plain = byteArrays(pictures);
  // Levels of three values that are there: one run.
  const levels = bytes(varint(2 * 3), '\x01');
  const optional = { 3: 1 };

  it('of both forms, with and without levels and dictionaries, in any number', async () => {
    const places = bytes('\x02', varint((1 << 1) | 1), Uint8Array.of(0b00100100, 0));
    const cases: Partial<WrittenColumn>[] = [
      {},
      { pages: pictures.map((each) => dataPage(1, byteArrays([each]))) },
      { element: optional, pages: [dataPage(3, bytes(u32(levels.length), levels, plain))] },
      { pages: [dataPage2(3, plain)] },
      { element: optional, pages: [dataPage2(3, bytes(levels, plain), {}, { 5: levels.length })] },
      { pages: [dictionaryPage(3, plain), dataPage(3, places, {}, { 2: 8 })] },
      { pages: [dictionaryPage(3, plain), dataPage2(3, places, {}, { 4: 2 })] },
      { pages: [bytes(thrift({ 1: 1, 2: 3, 3: 3, 6: {} }), 'abc'), dataPage(3, plain)] },
      { pages: [dataPage(0, Buffer.alloc(0)), dataPage(3, plain)] },
      // A header of more bytes than are read at first.
      { pages: [dataPage(3, plain, {}, { 5: { 5: Buffer.alloc(9000) } })] },
    ];
    for (const image of cases) expect(await opened({ image })).toEqual([5, 6, 7, 0, 1, 2]);
    const dictionary = [dictionaryPage(3, integers([0, 1, 2])), dataPage(3, places, {}, { 2: 8 })];
    expect(await opened({ label: { pages: dictionary } })).toEqual([5, 6, 7, 0, 1, 2]);
    const one = [dictionaryPage(1, integers([4])), dataPage(3, bytes('\0'), {}, { 2: 8 })];
    expect(await opened({ label: { pages: one } })).toEqual([5, 6, 7, 4, 4, 4]);
  });

  const pages = (...own: Uint8Array[]): Written => ({ image: { pages: own } });
  const levelPages = (count: number, own: Uint8Array, inner?: ThriftStruct): Written => ({
    image: { element: optional, pages: [dataPage(count, bytes(u32(own.length), own, plain), {}, inner)] },
  });
  const dictionary = dictionaryPage(3, plain);
  const placed = (own: Uint8Array): Written => pages(dictionary, dataPage(3, own, {}, { 2: 8 }));

  it.each<[string, Written, string, RegExp]>([
    [
      'a run of 2^31 levels',
      levelPages(3, bytes(varint(2 ** 32 - 2), '\x01')),
      'ERR_DPM_FILE_HEADER',
      /run of 2147483647/,
    ],
    ['a run of 2^40 levels', levelPages(3, bytes(varint(2 ** 40), '\x01')), 'ERR_DPM_FILE_HEADER', /more than 2\^32/],
    [
      'packed levels that are not there',
      levelPages(3, varint(2 ** 32 - 1)),
      'ERR_DPM_FILE_HEADER',
      /ends inside its numbers/,
    ],
    ['too few levels', levelPages(3, bytes(varint(2), '\x01')), 'ERR_DPM_FILE_HEADER', /ends inside its numbers/],
    ['levels of another encoding', levelPages(3, levels, { 3: 4 }), 'ERR_DPM_UNSUPPORTED', /deprecated encoding/],
    [
      'levels longer than the page',
      { image: { element: optional, pages: [dataPage(3, bytes(u32(999), levels, plain))] } },
      'ERR_DPM_FILE_HEADER',
      /ends inside its levels/,
    ],
    [
      'no levels at all',
      { image: { element: optional, pages: [dataPage(3, bytes('ab'))] } },
      'ERR_DPM_FILE_HEADER',
      /levels/,
    ],
    [
      'levels longer than a page of the second form',
      { image: { element: optional, pages: [dataPage2(3, plain, {}, { 5: plain.length + 1 })] } },
      'ERR_DPM_FILE_HEADER',
      /ends inside its levels/,
    ],
    ['repeated values', pages(dataPage2(3, plain, {}, { 6: 2 })), 'ERR_DPM_FILE_HEADER', /repeated values/],
    ['2^30 values', pages(dataPage(2 ** 30, plain)), 'ERR_DPM_FILE_HEADER', /has 1073741824 values where 3 are left/],
    [
      'fewer values than rows',
      pages(dataPage(2, byteArrays(pictures.slice(1)))),
      'ERR_DPM_FILE_TRUNCATED',
      /ends before its last/,
    ],
    ['a count below 0', pages(dataPage(-1, plain)), 'ERR_DPM_FILE_HEADER', /num_values \(field 1\)/],
    [
      'a value longer than the page',
      pages(dataPage(3, bytes(u32(2 ** 32 - 1), plain))),
      'ERR_DPM_FILE_TRUNCATED',
      /last of 3/,
    ],
    [
      'a last value longer than the page',
      pages(dataPage(3, bytes(byteArrays(pictures.slice(1)), u32(99), 'abc'))),
      'ERR_DPM_FILE_TRUNCATED',
      /last of 3/,
    ],
    [
      'bytes for two values of three',
      pages(dataPage(3, byteArrays(pictures.slice(1)))),
      'ERR_DPM_FILE_TRUNCATED',
      /last of 3/,
    ],
    [
      'a page beyond the column',
      pages(dataPage(3, plain, { 3: 2 ** 31 - 1 })),
      'ERR_DPM_FILE_HEADER',
      /has 2147483647 bytes/,
    ],
    ['a size below 0', pages(dataPage(3, plain, { 3: -5 })), 'ERR_DPM_FILE_HEADER', /compressed_page_size/],
    ['another size than it unpacks to', pages(dataPage(3, plain, { 2: 9 })), 'ERR_DPM_FILE', /says that it has 9/],
    ['an unknown kind', pages(dataPage(3, plain, { 1: 7 })), 'ERR_DPM_FILE_HEADER', /unknown kind 7/],
    ['no header of its kind', pages(dataPage(3, plain, { 1: 3 })), 'ERR_DPM_FILE_HEADER', /data_page_header_v2/],
    ['an encoding of other runs', pages(dataPage(3, plain, {}, { 2: 3 })), 'ERR_DPM_UNSUPPORTED', /encoding 3/],
    [
      'a dictionary of another encoding',
      pages(dictionaryPage(3, plain, {}, { 2: 8 })),
      'ERR_DPM_UNSUPPORTED',
      /encoding 8/,
    ],
    ['two dictionaries', pages(dictionary, dictionary), 'ERR_DPM_FILE_HEADER', /second dictionary/],
    [
      '2^30 values of a dictionary',
      pages(dictionaryPage(2 ** 30, plain)),
      'ERR_DPM_FILE_HEADER',
      /1073741824 values for 3 rows/,
    ],
    ['no dictionary', pages(dataPage(3, Buffer.from([1, 6, 0]), {}, { 2: 8 })), 'ERR_DPM_FILE_HEADER', /there is none/],
    [
      'a place behind the dictionary',
      placed(Buffer.from([2, 6, 3])),
      'ERR_DPM_FILE_HEADER',
      /place 3 in a dictionary of 3/,
    ],
    ['places of 33 bits', placed(Buffer.from([33, 6, 0])), 'ERR_DPM_FILE_HEADER', /33 bits/],
    ['no places', placed(Buffer.alloc(0)), 'ERR_DPM_FILE_HEADER', /ends before its values/],
    ['an empty header', pages(Buffer.from([0])), 'ERR_DPM_FILE_HEADER', /compressed_page_size/],
    ['a header that does not end', pages(Buffer.alloc(300_000, 0x15)), 'ERR_DPM_FILE_HEADER', /field|ends/],
    [
      'too few bytes of labels',
      { label: { pages: [dataPage(3, integers([1, 2]))] } },
      'ERR_DPM_FILE_TRUNCATED',
      /column 'label': a page ends before the last of 3/,
    ],
  ])('with %s are refused', async (_, changed, code, message) => {
    const path = file(small(changed));
    const error = await failure(openImages(path));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toContain(path);
    expect(error.message).toMatch(/column '(image|label)'/);
  });

  it.each<[string, number[]]>([
    ['below 0', [0, -1, 2]],
    ['beyond 31 bits', [0, 2 ** 31, 2]],
    ['beyond 53 bits', [0, 2 ** 60, 2]],
  ])('with labels %s are refused', async (_, labels) => {
    const error = await failure(openImages(file(small({ label: { pages: [dataPage(3, integers(labels))] } }))));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_ARGUMENT',
      expect.stringMatching(/column 'label', row 1: the label -?\d+ is no class/),
    ]);
    const missing = bytes(u32(2), varint(4), '\0', integers([]));
    const absent = small({ label: { element: optional, pages: [dataPage(2, missing), dataPage(1, missing)] } });
    expect((await failure(openImages(file(absent)))).message).toMatch(/row 0: the label that is missing is no class/);
  });

  it('of pictures that are none', async () => {
    const broken = [grey(1), grey(2).subarray(0, 40), Buffer.from('none')];
    const path = file(parquetFile(3, [pictureColumn(broken), labelColumn([4, 5, 6])]));
    const error = await failure(openImages(path));
    expect(error.message).toMatch(/column 'image', row 1: .*cut off/);
    const { labels, broken: left } = await openImages(path, { skipBroken: true });
    expect([[...labels!], left]).toEqual([[4], 2]);
  });

  it('of JPEG, beside PNG or not', async () => {
    const [colours, pixels, level, cmyk] = ['420.jpg', '420.png', 'grey.jpg', 'cmyk.jpg'].map((name) =>
      readFileSync(packagePath(`test/fixtures/jpeg/${name}`)),
    ) as [Buffer, Buffer, Buffer, Buffer];
    const path = file(parquetFile(3, [pictureColumn([colours, pixels, level]), labelColumn([4, 5, 6])]));
    const { images, labels, shape } = await openImages(path);
    expect([shape, [...labels!]]).toEqual([
      [3, 3, 19, 21],
      [4, 5, 6],
    ]);
    const size = 3 * 19 * 21;
    expect(images.subarray(0, size)).toEqual(images.subarray(size, 2 * size));
    const broken = file(parquetFile(3, [pictureColumn([colours, cmyk, colours.subarray(0, 400)])]));
    const error = await failure(openImages(broken));
    expect(error.message).toMatch(/column 'image', row 1: the JPEG has 4 components, as CMYK/);
    expect(await openImages(broken, { skipBroken: true })).toMatchObject({ broken: 2, shape: [1, 3, 19, 21] });
  });
});

describe('footers', () => {
  const whole = small();
  const end = (...parts: readonly Part[]): Buffer => bytes('PAR1', ...parts);
  const nested = (depth: number): ThriftStruct => (depth === 0 ? {} : { 1: nested(depth - 1) });

  it.each<[string, Buffer, string, RegExp]>([
    ['nothing', Buffer.alloc(0), 'ERR_DPM_FILE_HEADER', /no Parquet file/],
    ['another mark', Buffer.from('PNG and much more'), 'ERR_DPM_FILE_HEADER', /no Parquet file/],
    ['no end', whole.subarray(0, -1), 'ERR_DPM_FILE_TRUNCATED', /does not end with its footer/],
    ['an encrypted footer', bytes(whole.subarray(0, -4), 'PARE'), 'ERR_DPM_UNSUPPORTED', /encrypted/],
    ['a footer longer than the file', end(u32(99), 'PAR1'), 'ERR_DPM_FILE_HEADER', /footer has 99 bytes/],
    [
      'a footer of 20 MiB',
      end(Buffer.alloc(20 * 2 ** 20), u32(20 * 2 ** 20), 'PAR1'),
      'ERR_DPM_FILE_HEADER',
      /footer has 20971520/,
    ],
    ['a footer of 4 GiB', end(Buffer.alloc(50), u32(2 ** 32 - 1), 'PAR1'), 'ERR_DPM_FILE_HEADER', /4294967295/],
    ['an empty footer', end(u32(0), 'PAR1'), 'ERR_DPM_FILE_HEADER', /ends too early/],
    ['no schema', end('\0', u32(1), 'PAR1'), 'ERR_DPM_FILE_HEADER', /schema \(field 2\)/],
    ['rows that are not there', small({ footer: { 3: 4 } }), 'ERR_DPM_FILE_HEADER', /has 4 rows, and 3 in its groups/],
    ['other counts', small({ group: { 3: 2 } }), 'ERR_DPM_FILE_HEADER', /3 rows, and 2/],
    ['2^50 rows', small({ footer: { 3: 2 ** 50 }, group: { 3: 2 ** 50 } }), 'ERR_DPM_FILE_HEADER', /rows in \d+ bytes/],
    ['rows below 0', small({ footer: { 3: -1 } }), 'ERR_DPM_FILE_HEADER', /num_rows/],
    ['a number of 2^63 rows', small({ footer: { 3: 2n ** 63n } }), 'ERR_DPM_FILE_HEADER', /num_rows/],
    ['a column fewer', small({ group: { 1: [] } }), 'ERR_DPM_FILE_HEADER', /0 columns, the schema has 2/],
    ['a schema too large', small({ root: { 5: 2 ** 30 } }), 'ERR_DPM_FILE_HEADER', /schema ends too early/],
    ['a schema too small', small({ root: { 5: 1 } }), 'ERR_DPM_FILE_HEADER', /in no column/],
    ['an unknown type', small({ image: { element: { 1: 9 } } }), 'ERR_DPM_FILE_HEADER', /unknown type/],
    [
      'another name',
      small({ image: { meta: { 3: ['a'] } } }),
      'ERR_DPM_FILE_HEADER',
      /'image' has the data of another/,
    ],
    [
      'other values',
      small({ image: { meta: { 5: 2 } } }),
      'ERR_DPM_FILE_HEADER',
      /'image': it has 2 values for 3 rows/,
    ],
    ['a column before the file', small({ image: { meta: { 9: 0 } } }), 'ERR_DPM_FILE_TRUNCATED', /'image' says.* 0 to/],
    [
      'a column behind the file',
      small({ image: { meta: { 7: 2 ** 40 } } }),
      'ERR_DPM_FILE_TRUNCATED',
      /'image' says that it lies/,
    ],
    [
      'a column that ends in the footer',
      small({ label: { meta: { 7: labelColumn([0, 1, 2]).pages[0]!.length + 1 } } }),
      'ERR_DPM_FILE_TRUNCATED',
      /'label' says that it lies at bytes \d+ to \d+$/,
    ],
    ['a column elsewhere', small({ chunk: { 1: 'b.parquet' } }), 'ERR_DPM_UNSUPPORTED', /in another file/],
    ['no data', small({ chunk: { 3: 7 } }), 'ERR_DPM_FILE_HEADER', /meta_data/],
    [
      'a codec that is not read',
      small({ image: { meta: { 4: 5 } } }),
      'ERR_DPM_UNSUPPORTED',
      /compressed by LZ4, which/,
    ],
    ['an unknown codec', small({ image: { meta: { 4: 99 } } }), 'ERR_DPM_UNSUPPORTED', /compressed by 99, which/],
    ['structs without end', small({ footer: { 9: nested(40) } }), 'ERR_DPM_FILE_HEADER', /24 deep/],
    [
      'columns without end',
      parquetFile(0, [], {
        root: { 5: 1 },
        footer: { 2: Array.from({ length: 40 }, () => ({ 4: 'a', 5: 1 })), 4: [] },
      }),
      'ERR_DPM_FILE_HEADER',
      /16 deep/,
    ],
    ['no rows', parquetFile(0, [pictureColumn([])], { footer: { 4: [] } }), 'ERR_DPM_FILE', /none of 0 pictures/],
  ])('of %s are refused', async (_, content, code, message) => {
    const path = file(content);
    const error = await failure(openImages(path));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toMatch(code === 'ERR_DPM_FILE' ? /pictures/ : /a\.parquet/);
  });

  it('take no more memory than there is', async () => {
    vi.stubEnv('DPM_MEMORY', String(2 ** -29));
    expect(await failure(openImages(file(whole)))).toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    // A hundred bytes are enough for labels, and for what a page says that it unpacks to.
    vi.stubEnv('DPM_MEMORY', String(100 * 2 ** -30));
    const page = dataPage(3, byteArrays(pictures), { 2: 1 });
    const error = await failure(openImages(file(small({ image: { pages: [page] } }))));
    expect([error.code, error.message]).toEqual(['ERR_DPM_OUT_OF_MEMORY', expect.stringContaining("column 'image'")]);
    vi.unstubAllEnvs();
  });
});

/** A column of hyparquet-writer. */
const struct = (nullable: boolean): Parameters<typeof parquetWriteBuffer>[0]['schema'] => {
  const repetition_type = nullable ? 'OPTIONAL' : 'REQUIRED';
  return [
    { name: 'root', num_children: 2 },
    { name: 'image', num_children: 2, repetition_type },
    { name: 'bytes', type: 'BYTE_ARRAY', repetition_type },
    { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    { name: 'label', type: 'INT32', repetition_type: 'REQUIRED' },
  ];
};

it('files of hyparquet-writer are what was written, whatever their groups, pages and nulls', async () => {
  const row = fc.record({ level: fc.nat(4), label: fc.nat(9), there: fc.integer({ min: 0, max: 9 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 40 }),
      fc.record({
        nullable: fc.boolean(),
        groups: fc.integer({ min: 1, max: 40 }),
        page: fc.integer({ min: 1, max: 2000 }),
      }),
      fc.constantFrom('SNAPPY' as const, 'UNCOMPRESSED' as const),
      async (rows, { nullable, groups, page }, codec) => {
        const isThere = rows.map(({ there }, i) => i === 0 || !nullable || there > 1);
        const image = rows.map(({ level, there }, i) => {
          if (isThere[i] === true) return { bytes: grey(level), path: `${i}.png` };
          return there === 0 ? null : { bytes: null, path: null };
        });
        const content = parquetWriteBuffer({
          columnData: [
            { name: 'image', data: image },
            { name: 'label', data: rows.map(({ label }) => label) },
          ],
          schema: struct(nullable)!,
          rowGroupSize: groups,
          pageSize: page,
          codec,
        });
        const kept = rows.filter((_, i) => isThere[i]);
        const { images, labels, broken } = await openImages(file(Buffer.from(content)), { skipBroken: true });
        expect([[...images], [...labels!], broken]).toEqual([
          kept.map(({ level }) => level),
          kept.map(({ label }) => label),
          rows.length - kept.length,
        ]);
      },
    ),
    { numRuns: 60 },
  );
});

it('damaged files give pictures that were there, or an error that names the file', async () => {
  const names = ['snappy', 'dictionary', 'zstd', 'gzip', 'brotli', 'lz4', 'pages'];
  const each = expected.images.length / expected.shape[0]!;
  const known = new Set(
    Array.from({ length: expected.shape[0]! }, (_, i) => expected.images.slice(i * each, (i + 1) * each).join()),
  );
  const change = fc.record({ at: fc.nat(), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.array(change, { maxLength: 3 }),
      fc.option(fc.nat(), { freq: 3 }),
      async (name, changes, length) => {
        const good = readFileSync(fixture(`${name}.parquet`));
        const damaged = Buffer.from(good.subarray(0, length === null ? good.length : length % (good.length + 1)));
        for (const { at, byte } of changes) if (damaged.length > 0) damaged[at % damaged.length] = byte;
        const path = place('a.parquet');
        writeFileSync(path, damaged);
        try {
          const { images, labels, shape } = await openImages(path);
          for (let i = 0; i < shape[0]; ++i) {
            expect(known).toContain(images.slice(i * each, (i + 1) * each).join());
          }
          if (labels !== null) expect(labels).toHaveLength(shape[0]);
        } catch (error) {
          expect(error).toBeInstanceOf(DpmError);
          const { code, message } = error as DpmError;
          expect(code).not.toBe('ERR_DPM_INTERNAL');
          expect(message).toMatch(/a\.parquet|pictures/);
        }
      },
    ),
    { numRuns: 400 },
  );
});

it('a file that becomes shorter while it is read is an error', async () => {
  const path = place('a.parquet');
  copyFileSync(fixture('pages.parquet'), path);
  const content = readFileSync(path);
  const error = await failure(
    openImages(path, {
      onProgress: (done) => {
        if (done === 1) writeFileSync(path, content.subarray(0, 200));
      },
    }),
  );
  expect(error).toMatchObject({ code: 'ERR_DPM_FILE_TRUNCATED' });
});
