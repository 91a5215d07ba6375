// The two forms of PyTorch's files around the pickle, made by hand: valid ones and damaged ones.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readPytorchFile, readPytorchFloats, tensorsOf } from '../../../../lib/checkpoint/pytorch/index.js';
import { temporaryFolder } from '../../../support/temporary.js';
import {
  archive,
  bytes,
  checkpointEntries,
  floats,
  legacy,
  pickle,
  u16,
  u64,
  type ArchiveOptions,
  type Entry,
  type Part,
} from '../../../support/write-pytorch.js';

const folder = temporaryFolder();
let files = 0;

function fileOf(data: Uint8Array): string {
  const path = join(folder, `${files++}.pt`);
  writeFileSync(path, data);
  return path;
}

const { text, integer, dictionary, storage, tensor, whole } = pickle;
const vector = (key: string, elements: number, name = 'w'): Part[] => [
  text(name),
  tensor(storage(key, elements), integer(0), [integer(elements)], [integer(1)]),
];
const object = whole(dictionary(...vector('0', 2)));
const good = (): Entry[] => checkpointEntries(object, { '0': floats(1, 2) });

/** The good entries with some changed by name. */
function changed(changes: Readonly<Record<string, Partial<Entry>>>, options: ArchiveOptions = {}): Buffer {
  return archive(
    good().map((entry) => ({ ...entry, ...changes[entry.name] })),
    options,
  );
}

async function values(data: Uint8Array): Promise<number[]> {
  const file = await readPytorchFile(fileOf(data));
  const { tensors } = tensorsOf(file);
  return [...(await readPytorchFloats(file, 'w', tensors.get('w')!))];
}

describe('files made by hand', () => {
  it('are read: zip, zip64, padded, without byte order, legacy', async () => {
    expect(await values(archive(good()))).toEqual([1, 2]);
    expect(await values(archive(good(), { end64: {} }))).toEqual([1, 2]);
    expect(await values(archive(good().map((entry) => ({ ...entry, large: true }))))).toEqual([1, 2]);
    expect(await values(archive(good().filter(({ name }) => name !== 'm/byteorder')))).toEqual([1, 2]);
    expect(await values(legacy(object, ['0'], u64(2), floats(1, 2)))).toEqual([1, 2]);
  });

  it('of the legacy form may have long pickles', async () => {
    const long = whole(dictionary(...vector('0', 2), text('log'), text('x'.repeat(3_000_000))));
    expect(await values(legacy(long, ['0'], u64(2), floats(3, 4)))).toEqual([3, 4]);
  });

  it('cannot make much of little', async () => {
    const huge = tensor(storage('0', 2), integer(0), [integer(2 ** 30), integer(4)], [integer(0), integer(0)]);
    const file = await readPytorchFile(fileOf(legacy(whole(dictionary(text('w'), huge)), ['0'], u64(2), floats(1, 2))));
    await expect(readPytorchFloats(file, 'w', tensorsOf(file).tensors.get('w')!)).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SIZE',
      message: expect.stringContaining("tensor 'w' [1073741824, 4]") as string,
    });
  });

  it('with two keys of one name are refused when asked for', async () => {
    const [, value = ''] = vector('0', 2);
    const twice = whole(dictionary(text('1'), value, 'K\x01', value));
    const file = await readPytorchFile(fileOf(archive(checkpointEntries(twice, { '0': floats(1, 2) }))));
    expect(() => tensorsOf(file)).toThrow(/called '1'/);
    const number = whole(dictionary(text('1'), value, 'K\x01', 'N'));
    const other = await readPytorchFile(fileOf(archive(checkpointEntries(number, { '0': floats(1, 2) }))));
    expect(tensorsOf(other)).toMatchObject({ skipped: ['1'] });
  });
});

const FILE_HEADER = 'ERR_DPM_FILE_HEADER';
const TRUNCATED = 'ERR_DPM_FILE_TRUNCATED';
const UNSUPPORTED = 'ERR_DPM_UNSUPPORTED';
const OVERLAP = 'ERR_DPM_TENSOR_OVERLAP';
const SIZE = 'ERR_DPM_TENSOR_SIZE';
const extra = (name: string): Buffer => archive([...good(), { name, data: bytes('x') }]);
const renamed = (name: string, to: string): Buffer => changed({ [name]: { name: to } });

const archives: [string, string, RegExp, () => Uint8Array][] = [
  ['a comment at the end', TRUNCATED, /last 22 bytes/, () => archive(good(), { comment: 'hello' })],
  [
    'a comment that ends like an archive',
    FILE_HEADER,
    /has to end at/,
    () => archive(good(), { comment: archive([]).toString('latin1') }),
  ],
  ['the end cut off', TRUNCATED, /last 22 bytes/, () => archive(good()).subarray(0, -1)],
  ['more entries than it counts', FILE_HEADER, /or more than it counts/, () => archive(good(), { entries: 3 })],
  ['fewer entries than it counts', FILE_HEADER, /claims 5 entries/, () => archive(good(), { entries: 5 })],
  ['65535 entries claimed', FILE_HEADER, /claims 65535 entries/, () => archive(good(), { entries: 65535 })],
  ['several disks', FILE_HEADER, /several files/, () => archive(good(), { disk: 1 })],
  ['zip64 of 2^64 - 1 entries', FILE_HEADER, /disagree/, () => archive(good(), { end64: { entries: 2n ** 64n - 1n } })],
  [
    'zip64 of 2^63 entries',
    FILE_HEADER,
    /claims/,
    () => archive(good(), { entries: 65535, end64: { entries: 2n ** 63n } }),
  ],
  [
    'zip64 with a directory of 2^63 bytes',
    FILE_HEADER,
    /has to end at/,
    () => archive(good(), { end64: { bytes: 2n ** 63n } }),
  ],
  [
    'zip64 with a directory at 2^64 - 1',
    FILE_HEADER,
    /has to end at/,
    () => archive(good(), { end64: { offset: 2n ** 64n - 1n } }),
  ],
  [
    'zip64 sizes that are not there',
    FILE_HEADER,
    /no size for the large entry/,
    () => changed({ 'm/version': { large: true, extra: bytes(u16(1), u16(8), u64(2)) } }),
  ],
  [
    'zip64 field beyond its end',
    FILE_HEADER,
    /no size for the large entry/,
    () => changed({ 'm/version': { large: true, extra: bytes(u16(1), u16(999), u64(2)) } }),
  ],
  [
    'zip64 size of 2^60',
    OVERLAP,
    /m\/version/,
    () =>
      changed({ 'm/version': { large: true, extra: bytes(u16(1), u16(24), u64(2n ** 60n), u64(2n ** 60n), u64(0)) } }),
  ],
  ['two entries of one name', FILE_HEADER, /two entries 'm\/data\/0'/, () => extra('m/data/0')],
  ['two folders', FILE_HEADER, /folders 'm' and 'n'/, () => extra('n/x')],
  ['no folder', FILE_HEADER, /'x' is not a plain path/, () => extra('x')],
  ['..', FILE_HEADER, /'m\/\.\.\/x' is not a plain path/, () => extra('m/../x')],
  ['an absolute path', FILE_HEADER, /'\/etc\/x'/, () => extra('/etc/x')],
  ['a drive', FILE_HEADER, /not a plain path/, () => extra('C:/x')],
  ['a backslash', FILE_HEADER, /not a plain path/, () => extra('m/a\\b')],
  ['a null character', FILE_HEADER, /not a plain path/, () => extra('m/a\0b')],
  ['a folder as entry', FILE_HEADER, /not a plain path/, () => extra('m/data/')],
  [
    'a name that is not UTF-8',
    FILE_HEADER,
    /not UTF-8/,
    () => bytes(archive(good()).toString('latin1').replaceAll('m/version', 'm/versi\xff\xff')),
  ],
  [
    'a compressed pickle',
    UNSUPPORTED,
    /'m\/data\.pkl' is compressed, which PyTorch does not write/,
    () => changed({ 'm/data.pkl': { method: 8 } }),
  ],
  ['a compressed storage', UNSUPPORTED, /'m\/data\/0' is compressed/, () => changed({ 'm/data/0': { method: 12 } })],
  ['an entry on another disk', FILE_HEADER, /'m\/data\/0'/, () => changed({ 'm/data/0': { disk: 1 } })],
  ['an encrypted entry', UNSUPPORTED, /'m\/data\/0' is encrypted/, () => changed({ 'm/data/0': { flags: 1 } })],
  ['a wrong checksum', FILE_HEADER, /'m\/data\.pkl' has the checksum/, () => changed({ 'm/data.pkl': { crc: 1 } })],
  ['entries that overlap', OVERLAP, /needs the bytes up to/, () => changed({ 'm/data.pkl': { longer: 1000 } })],
  ['entries at one place', OVERLAP, /needs the bytes up to/, () => changed({ 'm/version': { at: 0 } })],
  ['an entry inside the padding of another', OVERLAP, /ends at byte/, () => changed({ 'm/data/0': { longer: 3 } })],
  ['an entry beyond the file', OVERLAP, /m\/version/, () => changed({ 'm/version': { at: 0x7fffffff } })],
  [
    'no local header',
    FILE_HEADER,
    /header of the entry 'm\/data\/0' at byte \d+ is not what the zip directory says/,
    () =>
      bytes(
        archive(good())
          .toString('latin1')
          .replace(/PK\x03\x04(?=.{26}m\/data\/0)/s, 'PK\x03\x05'),
      ),
  ],
  [
    'another local name',
    FILE_HEADER,
    /not what the zip directory says/,
    () => changed({ 'm/data/0': { localName: 'm/data/1' } }),
  ],
  ['no version', FILE_HEADER, /m\/version holds no number/, () => renamed('m/version', 'm/wersion')],
  [
    'a version of letters',
    FILE_HEADER,
    /m\/version holds no number/,
    () => changed({ 'm/version': { data: bytes('new') } }),
  ],
  [
    'a long version',
    FILE_HEADER,
    /at most 64 are read/,
    () => changed({ 'm/version': { data: bytes('1'.repeat(65)) } }),
  ],
  ['version 11', UNSUPPORTED, /version 11/, () => changed({ 'm/version': { data: bytes('11\n') } })],
  ['big endian', UNSUPPORTED, /byte order 'big'/, () => changed({ 'm/byteorder': { data: bytes('big') } })],
  ['no pickle', FILE_HEADER, /without m\/data\.pkl/, () => renamed('m/data.pkl', 'm/tada.pkl')],
  ['constants of TorchScript', UNSUPPORTED, /TorchScript/, () => extra('m/constants.pkl')],
  ['code of TorchScript', UNSUPPORTED, /TorchScript/, () => extra('m/code/__torch__.py')],
  ['no entry for a storage', 'ERR_DPM_TENSOR_MISSING', /storage '0'/, () => renamed('m/data/0', 'm/data/1')],
  ['a storage that is too short', SIZE, /'m\/data\/0' has 4 bytes/, () => changed({ 'm/data/0': { data: floats(1) } })],
  [
    'a storage that is too long',
    SIZE,
    /'m\/data\/0' has 12 bytes/,
    () => changed({ 'm/data/0': { data: floats(1, 2, 3) } }),
  ],
  [
    'a storage with a path as key',
    'ERR_DPM_TENSOR_MISSING',
    /storage/,
    () => archive(checkpointEntries(whole(dictionary(...vector('../data/0', 2))), { '0': floats(1, 2) })),
  ],
  [
    'bytes behind the pickle',
    FILE_HEADER,
    /1 bytes behind its pickle/,
    () => changed({ 'm/data.pkl': { data: bytes(object, 'x') } }),
  ],
  [
    'part of a storage',
    'ERR_DPM_PICKLE',
    /persistent id/,
    () => changed({ 'm/data.pkl': { data: whole(dictionary(text('w'), storage('0', 2, 'FloatStorage', 'N'))) } }),
  ],
];

const pair = whole(dictionary(...vector('a', 2), ...vector('b', 1, 'v')));
const concatenated: [string, string, RegExp, () => Uint8Array][] = [
  ['another magic number', FILE_HEADER, /magic number/, () => bytes('\x80\x02K\x05.', new Uint8Array(40))],
  [
    'a pickle of something else',
    'ERR_DPM_PICKLE',
    /'os\.system'/,
    () => bytes('\x80\x02cos\nsystem\n.', new Uint8Array(40)),
  ],
  [
    'another version',
    UNSUPPORTED,
    /version 1001/,
    () => bytes(legacy(object, []).toString('latin1').replace('M\xe9\x03', 'M\xe8\x03')),
  ],
  [
    'big endian',
    UNSUPPORTED,
    /little-endian/,
    () => bytes(legacy(object, []).toString('latin1').replace('\x88', '\x89')),
  ],
  [
    'a tensor among the keys',
    FILE_HEADER,
    /storage where none can be/,
    () => bytes(legacy(object, []).subarray(0, -6), vectorFile()),
  ],
  ['no keys', 'ERR_DPM_TENSOR_MISSING', /storage 'a' is not in the file/, () => legacy(pair, [])],
  [
    'a missing key',
    'ERR_DPM_TENSOR_MISSING',
    /storage 'b' is not in the file/,
    () => legacy(pair, ['a'], u64(2), floats(1, 2)),
  ],
  ['an unknown key', FILE_HEADER, /storage 'c' is listed twice, or no tensor uses it/, () => legacy(pair, ['a', 'c'])],
  ['a key twice', FILE_HEADER, /storage 'a' is listed twice/, () => legacy(pair, ['a', 'a', 'b'])],
  ['no storages', TRUNCATED, /storage 'a' needs/, () => legacy(pair, ['a', 'b'])],
  [
    'a storage cut short',
    TRUNCATED,
    /storage 'b' needs/,
    () => legacy(pair, ['a', 'b'], u64(2), floats(1, 2), u64(1), bytes('abc')),
  ],
  [
    'another number of elements',
    SIZE,
    /storage 'a' is preceded by the number 3/,
    () => legacy(pair, ['a', 'b'], u64(3), floats(1, 2), u64(1), floats(1)),
  ],
  [
    'a negative number of elements',
    SIZE,
    /the number -2/,
    () => legacy(pair, ['a', 'b'], u64(-2), floats(1, 2), u64(1), floats(1)),
  ],
  [
    'bytes behind the last storage',
    FILE_HEADER,
    /1 bytes behind/,
    () => legacy(pair, ['a', 'b'], u64(2), floats(1, 2), u64(1), floats(1), 'x'),
  ],
];

/** A list of keys that holds a storage instead. */
function vectorFile(): Buffer {
  return whole(pickle.list(storage('0', 2)));
}

const others: [string, string, RegExp, () => Uint8Array][] = [
  ['an empty file', TRUNCATED, /0 bytes/, () => bytes('')],
  ['a few bytes', TRUNCATED, /10 bytes/, () => bytes('PK\x03\x04123456')],
  [
    'a Git LFS pointer',
    FILE_HEADER,
    /git lfs pull/,
    () => bytes('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'),
  ],
  ['a web page', FILE_HEADER, /is a web page/, () => bytes('\n<!DOCTYPE html><html><head></head></html>')],
  ['a safetensors file', FILE_HEADER, /safetensors/, () => bytes(u64(64), '{', ' '.repeat(63))],
  [
    'a tar archive',
    FILE_HEADER,
    /tar archive.*torch\.load and torch\.save/,
    () => bytes('sys_info', new Uint8Array(249), 'ustar\0', new Uint8Array(400)),
  ],
  [
    'something else',
    FILE_HEADER,
    /neither as a zip archive nor as a pickle/,
    () => bytes('GIF89a', new Uint8Array(40)),
  ],
];

describe.each([
  ['archives', archives],
  ['legacy files', concatenated],
  ['other files', others],
])('damaged %s', (_kind, cases) => {
  it.each(cases)('%s: %s', async (_name, code, message, make) => {
    const path = fileOf(make());
    await expect(readPytorchFile(path)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    await expect(readPytorchFile(path)).rejects.toThrow(path);
  });
});

describe('paths', () => {
  it('that are no file are refused', async () => {
    await expect(readPytorchFile(folder)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(readPytorchFile(join(folder, 'absent.pt'))).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});
