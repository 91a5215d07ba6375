// PyTorch's files cut short and changed at random: nothing but a DpmError comes out, and soon. DPM_FUZZ_RUNS sets how
// many changed files are tried (scripts/soak takes many), DPM_FUZZ_SEED which ones.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../lib/base/errors.js';
import {
  PytorchTensor,
  readPytorchFile,
  readPytorchFloats,
  tensorsOf,
  type PickleValue,
} from '../../lib/checkpoint/pytorch/index.js';
import { StorageTable } from '../../lib/checkpoint/pytorch/pickled-tensors.js';
import { unpickle } from '../../lib/checkpoint/pytorch/unpickle.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';
import { archive, checkpointEntries } from '../support/write-pytorch.js';

const runs = Number(process.env.DPM_FUZZ_RUNS ?? 750);
const seed = Number(process.env.DPM_FUZZ_SEED ?? 20);
const limit = 600_000 + 20 * runs;
const slowest = 60_000;

const temporary = temporaryFolder();
const path = join(temporary, 'damaged.pt');
const fixtures = packagePath('test/fixtures/pytorch');
const files = readdirSync(fixtures)
  .filter((name) => name.endsWith('.pt'))
  .map((name) => ({ name, data: readFileSync(join(fixtures, name)) }));

function expectDpmError(error: unknown): void {
  if (!(error instanceof DpmError)) throw error;
  // An exception of another kind becomes ERR_DPM_FILE while a file is open.
  expect(['ERR_DPM_INTERNAL', 'ERR_DPM_FILE']).not.toContain(error.code);
}

/** Checks that everything in a value has the declared types; shared values are visited once. */
function expectPlain(value: PickleValue, seen: Set<PickleValue>): void {
  if (seen.has(value)) return;
  seen.add(value);
  if (value instanceof Map)
    for (const [key, each] of value)
      [key, each].forEach((item) => {
        expectPlain(item, seen);
      });
  else if (Array.isArray(value)) for (const each of value) expectPlain(each, seen);
  else if (typeof value === 'object' && value !== null) {
    expect(value instanceof PytorchTensor || value instanceof Uint8Array).toBe(true);
  } else if (value !== null) expect(['boolean', 'number', 'bigint', 'string']).toContain(typeof value);
}

/** Opens a file and reads all tensors of its root; returns whether that worked. */
async function tryFile(data: Uint8Array): Promise<boolean> {
  writeFileSync(path, data);
  const start = performance.now();
  try {
    const file = await readPytorchFile(path);
    if (!(file.root instanceof Map)) return true;
    for (const [name, tensor] of tensorsOf(file).tensors) {
      if (tensor.bytes < 1e6) await readPytorchFloats(file, name, tensor);
    }
    return true;
  } catch (error) {
    expectDpmError(error);
    return false;
  } finally {
    expect(performance.now() - start).toBeLessThan(slowest);
  }
}

function tryPickle(data: Uint8Array): void {
  const start = performance.now();
  try {
    const source = { where: 'x', bytes: data, available: data.length, base: 0 };
    expectPlain(unpickle(source, new StorageTable(1 << 20, 'legacy')).value, new Set());
  } catch (error) {
    expectDpmError(error);
  }
  expect(performance.now() - start).toBeLessThan(slowest);
}

/** Bytes overwritten, runs of them removed, doubled or moved. */
const changes = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), value: fc.integer({ min: 0, max: 7 }) }),
    fc.record({
      kind: fc.constant('copy' as const),
      at: fc.nat(),
      from: fc.nat(),
      length: fc.integer({ min: 1, max: 40 }),
    }),
    fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
  ),
  { minLength: 1, maxLength: 4 },
);

type Change = ReturnType<typeof changes.generate>['value'][number];

function applied(original: Uint8Array, list: readonly Change[]): Uint8Array {
  let data = Uint8Array.from(original);
  for (const change of list) {
    const at = change.at % data.length;
    if (change.kind === 'set') data[at] = change.value;
    else if (change.kind === 'flip') data[at]! ^= 1 << change.value;
    else if (change.kind === 'copy')
      data.set(data.slice(change.from % data.length).subarray(0, Math.min(change.length, data.length - at)), at);
    else
      data = Uint8Array.from(
        Buffer.concat([data.subarray(0, at), data.subarray(Math.min(at + change.length, data.length - 1))]),
      );
  }
  return data;
}

/** The pickle inside a file of either form. */
function pickleOf(data: Buffer): Buffer {
  const start = data.indexOf('/data.pkl');
  if (start < 0) return data.subarray(0x80);
  const directory = data.indexOf('PK\x01\x02');
  return data.subarray(data.indexOf('\x80', start, 'latin1'), directory).subarray(0, data.readUInt32LE(directory + 24));
}

describe('PyTorch files cut short', () => {
  it.each(files.map(({ name }) => name))(
    '%s',
    async (name) => {
      const { data } = files.find((file) => file.name === name)!;
      const step = Math.max(1, Math.floor((data.length * files.length) / Math.max(runs, files.length)));
      for (let length = 0; length < data.length; length += step) {
        expect(await tryFile(data.subarray(0, length))).toBe(false);
      }
      expect(await tryFile(data.subarray(0, -1))).toBe(false);
    },
    limit,
  );
});

describe('PyTorch files changed at random', () => {
  const parameters = { numRuns: runs, seed };
  const file = fc.constantFrom(...files);

  it(
    'as they are',
    async () => {
      await fc.assert(
        fc.asyncProperty(file, changes, async ({ data }, list) => {
          await tryFile(applied(data, list));
        }),
        parameters,
      );
    },
    limit,
  );

  it(
    'in their pickles, with the right checksum',
    async () => {
      const zipped = files.filter(({ name, data }) => name.includes('.zip.') && data.length < 9000);
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...zipped), changes, async ({ data }, list) => {
          const changed = applied(pickleOf(data), list);
          const storages = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, new Uint8Array(48)]));
          await tryFile(archive(checkpointEntries(changed, storages)));
        }),
        parameters,
      );
    },
    limit,
  );

  it(
    'in their pickles alone',
    () => {
      fc.assert(
        fc.property(file, changes, ({ data }, list) => {
          tryPickle(applied(pickleOf(data), list));
        }),
        { numRuns: 4 * runs, seed },
      );
    },
    limit,
  );

  it(
    'pickles of random opcodes',
    () => {
      const opcodes = Buffer.from(
        '(.01FIJKLMNQRTUXabcd}eghjlpqrst])uG\x80\x85\x86\x87\x88\x89\x8a\x8bBC\x8c\x8d\x8e\x93\x94\x95',
        'latin1',
      );
      const snippets = [
        ...Array.from(opcodes, (code) => Buffer.of(code)),
        ...[
          'K\x01',
          'I01\n',
          'Iconstructor\n',
          'Fconstructor\n',
          'K\x00q\x00',
          'h\x00',
          'X\x01\0\0\0a',
          ']q\x00',
          '}q\x01',
          'h\x01',
          'ccollections\nOrderedDict\n',
          'ctorch\nSize\n',
          'ctorch._utils\n_rebuild_tensor_v2\n',
          'X\x07\0\0\0storage',
          'ctorch\nFloatStorage\n',
          'cnumpy\ndtype\nU\x02f8\x85R',
        ].map((text) => Buffer.from(text, 'latin1')),
      ];
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...snippets), { minLength: 1, maxLength: 60 }), (parts) => {
          tryPickle(Buffer.concat([...parts, Buffer.from('.')]));
        }),
        { numRuns: 4 * runs, seed },
      );
    },
    limit,
  );
});
