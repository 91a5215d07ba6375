import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import type { Checkpoint } from '../../../lib/checkpoint/checkpoint.js';
import { findWeights, openWeights } from '../../../lib/checkpoint/weight-files.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats, writeSafetensors, type HostTensor } from '../../../lib/files/tensor-data.js';
import { temporaryFolder } from '../../support/temporary.js';
import { bytes, u32, u64 } from '../../support/write-pytorch.js';

const folder = temporaryFolder();
let files = 0;

function fileOf(header: string | Uint8Array, data = new Uint8Array(), length?: bigint): string {
  const bytes = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, length ?? BigInt(bytes.length), true);
  const path = join(folder, `${files++}.safetensors`);
  writeFileSync(path, Buffer.concat([start, bytes, data]));
  return path;
}

const tensor = (dtype: unknown, shape: unknown, offsets: unknown): unknown => ({ dtype, shape, data_offsets: offsets });

const hostile: [string, string, () => string][] = [
  [
    'fewer than eight bytes',
    'ERR_DPM_FILE_TRUNCATED',
    () => {
      const path = join(folder, 'short.safetensors');
      writeFileSync(path, Buffer.from([1, 2, 3]));
      return path;
    },
  ],
  ['a header beyond the file', 'ERR_DPM_FILE_TRUNCATED', () => fileOf('{}', new Uint8Array(), 1000n)],
  ['a huge header', 'ERR_DPM_HEADER_SIZE', () => fileOf('{}', new Uint8Array(), 2n ** 63n)],
  ['an empty header', 'ERR_DPM_HEADER_SIZE', () => fileOf('', new Uint8Array(9), 0n)],
  ['a header that is not JSON', 'ERR_DPM_FILE_HEADER', () => fileOf('{"a":')],
  ['a header that is an array', 'ERR_DPM_FILE_HEADER', () => fileOf('[1]')],
  ['a header that is not UTF-8', 'ERR_DPM_FILE_HEADER', () => fileOf(Uint8Array.of(0x7b, 0xff, 0x7d))],
  [
    'a key twice',
    'ERR_DPM_FILE_HEADER',
    () =>
      fileOf(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        new Uint8Array(1),
      ),
  ],
  [
    'a field too many',
    'ERR_DPM_FILE_HEADER',
    () => fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}}', new Uint8Array(1)),
  ],
  [
    'a dtype that is nested deep',
    'ERR_DPM_FILE_HEADER',
    () => fileOf(`{"a":{"dtype":${'['.repeat(1e6)}${']'.repeat(1e6)},"shape":[1],"data_offsets":[0,1]}}`),
  ],
  ['a long string', 'ERR_DPM_FILE_HEADER', () => fileOf(`{"a":"${'x\\n'.repeat(7e6)}"}`)],
  ['metadata that is not text', 'ERR_DPM_FILE_HEADER', () => fileOf('{"__metadata__":{"a":1}}')],
  [
    'an unknown dtype',
    'ERR_DPM_TENSOR_DTYPE',
    () => fileOf(JSON.stringify({ a: tensor('F4', [1], [0, 4]) }), new Uint8Array(4)),
  ],
  [
    'an inherited name as dtype',
    'ERR_DPM_TENSOR_DTYPE',
    () => fileOf(JSON.stringify({ a: tensor('toString', [1], [0, 4]) }), new Uint8Array(4)),
  ],
  [
    'a negative size',
    'ERR_DPM_TENSOR_SHAPE',
    () => fileOf(JSON.stringify({ a: tensor('F32', [-1], [0, 4]) }), new Uint8Array(4)),
  ],
  [
    'a rank beyond eight',
    'ERR_DPM_TENSOR_SHAPE',
    () => fileOf(JSON.stringify({ a: tensor('U8', Array(9).fill(1), [0, 1]) }), new Uint8Array(1)),
  ],
  [
    'an overflowing shape',
    'ERR_DPM_TENSOR_SIZE',
    () => fileOf(JSON.stringify({ a: tensor('F32', [2 ** 32, 2 ** 32], [0, 4]) }), new Uint8Array(4)),
  ],
  [
    'a size that does not fit',
    'ERR_DPM_TENSOR_SIZE',
    () => fileOf(JSON.stringify({ a: tensor('F32', [2], [0, 4]) }), new Uint8Array(4)),
  ],
  [
    'offsets turned around',
    'ERR_DPM_TENSOR_SIZE',
    () => fileOf(JSON.stringify({ a: tensor('U8', [0], [4, 0]) }), new Uint8Array(4)),
  ],
  [
    'offsets beyond 2^53',
    'ERR_DPM_TENSOR_SIZE',
    () => fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[9007199254740993,9007199254740994]}}'),
  ],
  [
    'overlapping tensors',
    'ERR_DPM_TENSOR_OVERLAP',
    () => fileOf(JSON.stringify({ a: tensor('F32', [1], [0, 4]), b: tensor('F32', [1], [2, 6]) }), new Uint8Array(6)),
  ],
  [
    'a gap between tensors',
    'ERR_DPM_TENSOR_OVERLAP',
    () => fileOf(JSON.stringify({ a: tensor('F32', [1], [0, 4]), b: tensor('F32', [1], [8, 12]) }), new Uint8Array(12)),
  ],
  [
    'data cut short',
    'ERR_DPM_FILE_TRUNCATED',
    () => fileOf(JSON.stringify({ a: tensor('F32', [4], [0, 16]) }), new Uint8Array(15)),
  ],
  [
    'bytes behind the data',
    'ERR_DPM_FILE_HEADER',
    () => fileOf(JSON.stringify({ a: tensor('F32', [1], [0, 4]) }), new Uint8Array(5)),
  ],
];

const openFolder = async (folder: string, stem: string): Promise<Checkpoint> =>
  (await openWeights(await findWeights(folder, stem))).checkpoint;

describe('hostile safetensors files', () => {
  it.each(hostile)('%s: %s', async (_name, code, make) => {
    const path = make();
    await expect(readSafetensorsHeader(path)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(path) as string,
    });
  });

  it('names a Git LFS pointer', async () => {
    const path = join(folder, 'pointer.safetensors');
    writeFileSync(path, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n');
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/Git LFS/);
  });

  it.each([
    ['an archive', bytes('PK\x03\x04', u32(0), new Uint8Array(100)), /alone needs/],
    ['an archive with flags', bytes('PK\x03\x04\0\0\x08\x08', new Uint8Array(100)), /claims \d+ bytes/],
    ['a pickle', bytes('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20', new Uint8Array(100)), /claims \d+ bytes/],
    ['a pickle with a frame', bytes('\x80\x04\x95', u64(1), new Uint8Array(100)), /alone needs/],
    ['a pickle that fits', bytes('\x80\x02', new Uint8Array(1000)), /does not start with '{'/],
  ])('says where %s of PyTorch belongs', async (_name, data, problem) => {
    const path = join(folder, 'misnamed.safetensors');
    writeFileSync(path, data);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(problem);
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/looks like a PyTorch file: give it a name that ends in/);
    await expect(readSafetensorsHeader(fileOf(`[${' '.repeat(700)}]`))).rejects.not.toThrow(/PyTorch/);
  });

  it('shows no more than a little of what is wrong', async () => {
    const long = 'x'.repeat(1e5);
    for (const header of [
      { __metadata__: { [long]: 1 } },
      { a: { [long]: 1 } },
      { a: tensor(long, [1], [0, 1]) },
      { a: tensor([[[[[long]]]]], [1], [0, 1]) },
      { [long]: 1 },
    ]) {
      const path = fileOf(JSON.stringify(header));
      const error = await readSafetensorsHeader(path).catch((cause: unknown) => cause as DpmError);
      expect((error as DpmError).message.length - path.length).toBeLessThan(300);
    }
  });

  it('never fails with anything but a DpmError', async () => {
    const valid = readFileSync(
      fileOf(JSON.stringify({ a: tensor('F32', [1], [0, 4]), b: tensor('U8', [2], [4, 6]) }), new Uint8Array(6)),
    );
    const path = join(folder, 'fuzz.safetensors');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(valid.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(valid.length),
        async (at, byte, end) => {
          const damaged = Uint8Array.from(valid);
          damaged[at] = byte;
          writeFileSync(path, damaged.subarray(0, end));
          await readSafetensorsHeader(path).catch((error: unknown) => {
            expect(error).toBeInstanceOf(DpmError);
            expect((error as DpmError).code).not.toBe('ERR_DPM_INTERNAL');
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('safetensors', () => {
  it('reads 65536 tensors, and no more', async () => {
    const header = (count: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [i, tensor('F32', [0], [0, 0])])));
    expect((await readSafetensorsHeader(fileOf(header(65_536)))).tensors.size).toBe(65_536);
    await expect(readSafetensorsHeader(fileOf(header(65_537)))).rejects.toMatchObject({
      code: 'ERR_DPM_FILE_HEADER',
      message: expect.stringContaining('more than 65536 tensors') as string,
    });
  });

  it('accepts names of Object.prototype, scalars and empty tensors', async () => {
    const path = fileOf(
      '{"__proto__":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}',
      new Uint8Array(4),
    );
    const { tensors } = await readSafetensorsHeader(path);
    expect([...tensors.keys()]).toEqual(['__proto__', 'b']);
  });

  it('are written as what their arrays hold', async () => {
    const path = join(folder, 'types.safetensors');
    const arrays = {
      F32: Float32Array.of(1.5, -2.5),
      F64: Float64Array.of(1.5, -2.5),
      I8: Int8Array.of(-2, 3),
      U8: Uint8Array.of(2, 3),
      I16: Int16Array.of(-300, 2),
      U16: Uint16Array.of(300, 2),
      I32: Int32Array.of(-70_000, 2),
      U32: Uint32Array.of(70_000, 2),
      I64: BigInt64Array.of(-7n, 9n),
      U64: BigUint64Array.of(7n, 9n),
      clamped: Uint8ClampedArray.of(255, 1),
      buffer: Buffer.from([3, 4]),
    };
    const tensors = Object.entries(arrays).map(([name, data]): [string, HostTensor] => [name, { shape: [2], data }]);
    await writeSafetensors(path, new Map(tensors));
    const header = await readSafetensorsHeader(path);
    const types = {
      ...Object.fromEntries(Object.keys(arrays).map((name) => [name, name])),
      clamped: 'U8',
      buffer: 'U8',
    };
    for (const [name, { dtype }] of header.tensors) expect(dtype).toBe(types[name as keyof typeof types]);
    for (const [name, data] of Object.entries(arrays)) {
      expect([...(await readFloats(header, name)).data], name).toEqual(Array.from(data, Number));
    }
    for (const data of [[1], new DataView(new ArrayBuffer(1)), 'x']) {
      const wrong = { x: { shape: [1], data } } as never;
      await expect(writeSafetensors(path, wrong)).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_DTYPE' });
    }
  });

  it('come back as they were written, aligned', async () => {
    const path = join(folder, 'written.safetensors');
    await writeSafetensors(
      path,
      {
        bytes: { shape: [3], data: Uint8Array.of(1, 2, 3) },
        x: { shape: [2, 1], data: Float32Array.of(0.5, -2) },
        labels: { shape: [2], data: BigInt64Array.of(7n, 9n) },
      },
      { format: 'pt' },
    );
    const header = await readSafetensorsHeader(path);
    expect(header.metadata).toEqual(new Map([['format', 'pt']]));
    expect(header.tensors.get('labels')!.offset % 8).toBe(0);
    expect([...(await readFloats(header, 'x')).data]).toEqual([0.5, -2]);
    expect([...(await readFloats(header, 'labels')).data]).toEqual([7, 9]);
    await expect(readFloats(header, 'nothing')).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_MISSING' });
    await expect(readFloats(header, 'bytes', ['F32'])).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_DTYPE' });
  });

  it('converts half precision exactly', async () => {
    const data = Uint8Array.of(0x00, 0x3c, 0x01, 0x00, 0xff, 0xfb, 0x00, 0x80, 0x80, 0x3f, 0x20, 0xc1);
    const path = fileOf(
      JSON.stringify({ half: tensor('F16', [4], [0, 8]), brain: tensor('BF16', [2], [8, 12]) }),
      data,
    );
    const header = await readSafetensorsHeader(path);
    expect([...(await readFloats(header, 'half')).data]).toEqual([1, 2 ** -24, -65504, -0]);
    expect([...(await readFloats(header, 'brain')).data]).toEqual([1, -10]);
  });

  it('rounds doubles and large integers to the nearest float32', async () => {
    const doubles = new Uint8Array(Float64Array.of(0.1, 1e300).buffer);
    const data = Uint8Array.from(bytes(doubles, u64(2n ** 24n + 1n), u64(-7)));
    const path = fileOf(
      JSON.stringify({ double: tensor('F64', [2], [0, 16]), long: tensor('I64', [2], [16, 32]) }),
      data,
    );
    const header = await readSafetensorsHeader(path);
    expect([...(await readFloats(header, 'double')).data]).toEqual([Math.fround(0.1), Infinity]);
    expect([...(await readFloats(header, 'long')).data]).toEqual([2 ** 24, -7]);
  });

  it('leave nothing behind when writing fails', async () => {
    const target = join(folder, 'no-such-folder', 'x.safetensors');
    await expect(writeSafetensors(target, {})).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(
      writeSafetensors(join(folder, 'bad.safetensors'), { x: { shape: [3], data: new Float32Array(2) } }),
    ).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp') || name === 'bad.safetensors')).toEqual([]);
  });
});

describe('sharded checkpoints', () => {
  const write = (name: string, value: unknown): void => {
    writeFileSync(join(folder, name), JSON.stringify(value));
  };

  it('reads shards and refuses what does not fit their index', async () => {
    await writeSafetensors(join(folder, 'w-1.safetensors'), { a: { shape: [1], data: new Float32Array(1) } });
    await writeSafetensors(join(folder, 'w-2.safetensors'), { b: { shape: [1], data: new Float32Array(1) } });
    write('w.safetensors.index.json', { weight_map: { a: 'w-1.safetensors', b: 'w-2.safetensors' } });
    expect([...(await openFolder(folder, 'w')).tensors.keys()]).toEqual(['a', 'b']);

    write('m.safetensors.index.json', {
      weight_map: { a: 'w-1.safetensors', b: 'w-2.safetensors', c: 'w-2.safetensors' },
    });
    await expect(openFolder(folder, 'm')).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_MISSING' });
    write('u.safetensors.index.json', { weight_map: { x: 'w-1.safetensors' } });
    await expect(openFolder(folder, 'u')).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_UNUSED' });
    // The meaning of two tensors with one name is unclear.
    const both = { shape: [1], data: new Float32Array(1) };
    await writeSafetensors(join(folder, 'w-3.safetensors'), { a: both, b: both });
    write('t.safetensors.index.json', { weight_map: { a: 'w-1.safetensors', b: 'w-3.safetensors' } });
    await expect(openFolder(folder, 't')).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_UNUSED',
      message: expect.stringMatching(/w-3\.safetensors: tensor 'a' is not listed for this file/) as string,
    });
    for (const file of ['../w-1.safetensors', '/etc/passwd', 'w..safetensors', 7]) {
      write('p.safetensors.index.json', { weight_map: { a: file } });
      await expect(openFolder(folder, 'p')).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    }
    await expect(openFolder(folder, 'absent')).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

describe('a large header', () => {
  const count = 30_000;
  const entries = Array.from(
    { length: count },
    (_, i) => `"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );

  it('leaves turns to the event loop', async () => {
    const path = fileOf(`{${entries.join(',')}}`, new Uint8Array(count));
    let turns = 0;
    let reading = true;
    const turn = (): void => {
      ++turns;
      if (reading) setImmediate(turn);
    };
    setImmediate(turn);
    const { tensors } = await readSafetensorsHeader(path);
    reading = false;
    expect(tensors.size).toBe(count);
    expect(tensors.get('t29999')).toMatchObject({ bytes: 1, shape: [1] });
    expect(turns).toBeGreaterThan(count / 2000);
  });

  it('may list its tensors in any order, empty ones among them', async () => {
    const path = fileOf(
      '{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' +
        '"none":{"dtype":"F32","shape":[0],"data_offsets":[1,1]}}',
      new Uint8Array(3),
    );
    expect([...(await readSafetensorsHeader(path)).tensors.keys()]).toEqual(['b', 'a', 'none']);
  });
});
