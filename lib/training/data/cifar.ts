import type { FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { filesIn, readExactly, shownPath, withFile } from '../../files/files.js';
import type { DataImages, DataShape } from './images-in-memory.js';

const SIDE = 32;
const CHANNELS = 3;
/** Bytes of one image: planes of red, green and blue. */
const IMAGE_BYTES = CHANNELS * SIDE * SIDE;

/** Number of records that are read at once. */
const RECORDS_READ = 1024;

/** A form of the files: the number of classes of each byte before an image, of which the last is its class. */
interface CifarKind {
  readonly name: string;
  readonly classes: readonly number[];
}

const cifar10: CifarKind = { name: 'CIFAR-10', classes: [10] };
/** Twenty coarse classes, then a hundred fine ones. */
const cifar100: CifarKind = { name: 'CIFAR-100', classes: [20, 100] };

const batchName = /^data_batch_(\d{1,4})\.bin$/i;

function recordBytes({ classes }: CifarKind): number {
  return classes.length + IMAGE_BYTES;
}

/** A file of records, and how many it has. */
interface CifarFile {
  readonly path: string;
  readonly kind: CifarKind;
  readonly records: number;
}

/** Tells the form of a file by its name. */
function kindOfName(path: string): CifarKind | null {
  const name = basename(path).toLowerCase();
  if (batchName.test(name) || name === 'test_batch.bin') return cifar10;
  return name === 'train.bin' || name === 'test.bin' ? cifar100 : null;
}

/** Tells the form of a file of another name by its length, of which records of one form alone are a part. */
function kindOfLength(size: number): CifarKind | null {
  const fitting = [cifar10, cifar100].filter((kind) => size % recordBytes(kind) === 0);
  return fitting.length === 1 ? (fitting[0] ?? null) : null;
}

/** Looks at the length of a file, of which all that follows is allocated. */
async function measured(path: string): Promise<CifarFile> {
  const size = await withFile(path, (_, bytes) => Promise.resolve(bytes));
  const kind = kindOfName(path) ?? kindOfLength(size);
  if (kind === null || size === 0 || size % recordBytes(kind) !== 0) {
    const records = (kind === null ? [cifar10, cifar100] : [kind])
      .map((each) => `records of ${recordBytes(each)} bytes (${each.name})`)
      .join(' or ');
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${size} bytes, which are no ${records}`);
  }
  return { path, kind, records: size / recordBytes(kind) };
}

/** Images and classes that records are put into. */
interface Target {
  readonly images: Uint8Array;
  readonly labels: Int32Array;
}

/** Takes records from their bytes, to the place of image `first`; `index` is the number of the first one in its file. */
function takeRecords({ path, kind }: CifarFile, bytes: Uint8Array, index: number, target: Target, first: number): void {
  const size = recordBytes(kind);
  const before = kind.classes.length;
  for (let i = 0; i * size < bytes.length; ++i) {
    const record = bytes.subarray(i * size, (i + 1) * size);
    kind.classes.forEach((count, k) => {
      const label = record[k] ?? 0;
      if (label >= count) {
        const what = `${path}: record ${index + i} has the label ${label}`;
        throw new DpmError('ERR_DPM_ARGUMENT', `${what}, ${kind.name} has ${count} of them there`);
      }
      target.labels[first + i] = label;
    });
    target.images.set(record.subarray(before), (first + i) * IMAGE_BYTES);
  }
}

async function readRecords(file: FileHandle, cifar: CifarFile, target: Target, first: number): Promise<void> {
  const size = recordBytes(cifar.kind);
  for (let index = 0; index < cifar.records; index += RECORDS_READ) {
    const count = Math.min(RECORDS_READ, cifar.records - index);
    const bytes = await readExactly(file, cifar.path, index * size, count * size);
    takeRecords(cifar, bytes, index, target, first + index);
  }
}

/** Lists the training batches of a folder in their order, none of them missing in between. */
function batchesOf(folder: string, names: readonly string[]): string[] {
  const numbered = names
    .map((name) => ({ name, number: Number(batchName.exec(name)?.[1] ?? 0) }))
    .filter(({ number }) => number > 0)
    .sort((a, b) => a.number - b.number);
  numbered.forEach(({ number }, i) => {
    if (number === i + 1) return;
    throw new DpmError('ERR_DPM_FILE', `${folder} has data_batch_${number}.bin without data_batch_${i + 1}.bin`);
  });
  return numbered.map(({ name }) => join(folder, name));
}

/**
 * Lists the training files of CIFAR in a folder: `data_batch_1.bin` and those that follow it, or `train.bin`. None: the
 * folder holds something else.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the folder if it cannot be read, or a batch that is missing.
 */
export async function cifarFilesOf(folder: string): Promise<string[]> {
  const names = (await filesIn(folder)).map((file) => basename(shownPath(file)));
  const batches = batchesOf(folder, names);
  if (batches.length > 0) return batches;
  return names.filter((name) => name.toLowerCase() === 'train.bin').map((name) => join(folder, name));
}

/**
 * Reads binary files of CIFAR-10 (a class, then planes of red, green and blue of 32 x 32) or CIFAR-100 (a coarse class, a
 * fine one, which is the label, then the planes), as [N, 3, 32, 32]. A file of another name than theirs is told by its length.
 *
 * @param paths - Files of one form, in the order of their images.
 * @throws {@link DpmError} Naming the file: `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_FILE_TRUNCATED` if its length is not
 * that of records, `ERR_DPM_ARGUMENT` for a label that is no class, `ERR_DPM_OUT_OF_MEMORY` before memory is allocated.
 */
export async function readCifar(paths: readonly string[]): Promise<DataImages> {
  const files: CifarFile[] = [];
  for (const path of paths) files.push(await measured(path));
  const count = files.reduce((sum, { records }) => sum + records, 0);
  requireMemory(paths.join(', '), count * IMAGE_BYTES, 1);
  const target = { images: new Uint8Array(count * IMAGE_BYTES), labels: new Int32Array(count) };
  let first = 0;
  for (const each of files) {
    const at = first;
    await withFile(each.path, (file) => readRecords(file, each, target, at));
    first += each.records;
  }
  const shape: DataShape = [count, CHANNELS, SIDE, SIDE];
  return { ...target, shape };
}
