// Parts of storages, as PyTorch wrote them before 1.0: where their tensors' values lie.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import {
  pytorchCheckpoint,
  readPytorchFile,
  readPytorchFloats,
  tensorsOf,
} from '../../../../lib/checkpoint/pytorch/index.js';
import { temporaryFolder } from '../../../support/temporary.js';
import { bytes, floats, legacy, pickle, u16, u64 } from '../../../support/write-pytorch.js';

const { text, integer, tuple, dictionary, storage, tensor, whole } = pickle;
const folder = temporaryFolder();

const part = (type: string, first: number, elements: number): ReturnType<typeof storage> =>
  storage('whole', 9, type, tuple(text(`part from ${first}`), integer(first), integer(elements)));

it.each([
  ['FloatStorage', floats(0, 1, 2, 3, 4, 5, 6, 7, 8)],
  // 1, 2, 3 and so on as float16 but for the first.
  ['HalfStorage', bytes(...[0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800].map(u16))],
])('a tensor at an offset in a part of a %s', async (type, contents) => {
  const object = whole(
    dictionary(
      [text('vector'), tensor(part(type, 2, 5), integer(1), [integer(3)], [integer(1)])],
      [text('columns'), tensor(part(type, 1, 8), integer(2), [integer(2), integer(2)], [integer(1), integer(3)])],
      [text('all'), tensor(storage('whole', 9, type), integer(0), [integer(9)], [integer(1)])],
    ),
  );
  const path = join(folder, `${type}.pt`);
  writeFileSync(path, legacy(object, ['whole'], u64(9), contents));
  const file = await readPytorchFile(path);
  const { tensors } = tensorsOf(file);
  const values = async (name: string): Promise<number[]> => [
    ...(await readPytorchFloats(file, name, tensors.get(name)!)),
  ];
  expect(await values('all')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(await values('vector')).toEqual([3, 4, 5]);
  expect(await values('columns')).toEqual([3, 6, 4, 7]);
  const mapped = pytorchCheckpoint(file, tensors).tensors;
  const elementBytes = contents.length / 9;
  const behind = (name: string): number => (mapped.get(name)!.offset - mapped.get('all')!.offset) / elementBytes;
  expect(['vector', 'columns'].map(behind)).toEqual([3, 3]);
});
