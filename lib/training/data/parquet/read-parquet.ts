import type { FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { listNames } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import { fileError, filesIn, isFolder, openFile, shownPath, withFile } from '../../../files/files.js';
import { JpegCodec } from '../../../images/jpeg/codec.js';
import type { DataImages } from '../images-in-memory.js';
import { encodedPicture, type Picture } from '../../../images/encoded-picture.js';
import { openImagesDefaults, type OpenImagesOptions } from '../options.js';
import { readPictures, type Pictures } from '../read-pictures.js';
import { columnsOf, type ImageColumns } from './columns.js';
import { readFooter, type Footer, type RowGroup } from '../../../files/parquet/footer.js';
import { readChunk } from '../../../files/parquet/pages.js';
import { integerReader, readByteArrays } from '../../../files/parquet/plain.js';
import type { Leaf } from '../../../files/parquet/schema.js';

/** A file whose footer has been read. */
interface ParquetFile {
  readonly footer: Footer;
  readonly columns: ImageColumns;
}

async function readColumns(path: string, labels: boolean): Promise<ParquetFile> {
  const footer = await withFile(path, (file, size) => readFooter(file, path, size));
  return { footer, columns: columnsOf(footer, labels) };
}

/** Refuses a file whose columns of images and labels have other names than those of the first one. */
function requireAlike(first: ParquetFile, other: ParquetFile): void {
  const nameOf = (leaf: Leaf | null): string => (leaf === null ? 'none' : `'${leaf.path.join('.')}'`);
  for (const which of ['image', 'label'] as const) {
    const [wanted, has] = [nameOf(first.columns[which]), nameOf(other.columns[which])];
    if (wanted === has) continue;
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${other.footer.path}: the column of ${which}s is ${has}, that of ${first.footer.path} is ${wanted}`,
    );
  }
}

/** A row, as a picture that is decoded when it is its turn. */
function pictureOf(name: string, bytes: Uint8Array | null, label: number | null, codec: JpegCodec): Picture {
  const there = (): Promise<Uint8Array> => {
    if (bytes === null) return Promise.reject(new DpmError('ERR_DPM_FILE', `${name} has no picture`));
    return Promise.resolve(bytes);
  };
  return encodedPicture(name, label, there, codec);
}

/** Reads the labels of a group, in the order of its rows. */
async function labelsOf(file: FileHandle, group: RowGroup, leaf: Leaf, first: number): Promise<number[]> {
  const chunk = group.chunk(leaf);
  const labels: number[] = [];
  for await (const label of readChunk(file, chunk, integerReader(leaf.type === 'INT32' ? 4 : 8))) {
    if (label === null || label < 0 || label >= 2 ** 31) {
      const what = `${chunk.where}, row ${first + labels.length}`;
      throw new DpmError('ERR_DPM_ARGUMENT', `${what}: the label ${label ?? 'that is missing'} is no class`);
    }
    labels.push(label);
  }
  return labels;
}

async function* picturesOfGroup(
  file: FileHandle,
  group: RowGroup,
  { image, label }: ImageColumns,
  first: number,
  codec: JpegCodec,
): AsyncGenerator<Picture> {
  const labels = label === null ? null : await labelsOf(file, group, label, first);
  const chunk = group.chunk(image);
  let row = 0;
  for await (const bytes of readChunk(file, chunk, readByteArrays)) {
    yield pictureOf(`${chunk.where}, row ${first + row}`, bytes, labels?.[row] ?? null, codec);
    ++row;
  }
}

/** The rows of a file, which is open while they are read. */
async function* picturesOfFile({ footer, columns }: ParquetFile, codec: JpegCodec): AsyncGenerator<Picture> {
  const { file } = await openFile(footer.path);
  try {
    let first = 0;
    for (const group of footer.groups) {
      yield* picturesOfGroup(file, group, columns, first, codec);
      first += group.rows;
    }
  } catch (cause) {
    throw fileError('read', footer.path, cause);
  } finally {
    await file.close();
  }
}

function picturesOf(files: readonly ParquetFile[]): Pictures {
  const codec = new JpegCodec();
  return {
    count: files.reduce((sum, { footer }) => sum + footer.rows, 0),
    async *[Symbol.asyncIterator]() {
      for (const file of files) yield* picturesOfFile(file, codec);
    },
  };
}

/** Tells whether a file is one of Parquet, by its name. */
export function isParquetName(path: string): boolean {
  return path.toLowerCase().endsWith('.parquet');
}

/** The split that a file is a part of, in the names of Hugging Face: `train-00000-of-00002.parquet`. */
function splitOf(name: string): string {
  return /^(.+?)(?:-\d+-of-\d+.*)?\.parquet$/i.exec(name)?.[1] ?? name;
}

/** The Parquet files right inside a folder, in the order of their names: those of the split `train`, if it has any. */
async function filesRightIn(folder: string): Promise<string[]> {
  const names = (await filesIn(folder)).map((file) => basename(shownPath(file)));
  // Folders of pictures may have such a file beside them, which says more of each.
  const found = names.filter((name) => isParquetName(name) && !/^(?:\.|metadata\.)/i.test(name));
  const training = found.filter((name) => /^train[-.]/i.test(name));
  const splits = [...new Set(found.filter((name) => /-\d+-of-\d+/.test(name)).map(splitOf))];
  if (training.length === 0 && splits.length > 1) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${folder} has the splits ${listNames(splits)}, and none named train`);
  }
  return (training.length > 0 ? training : found).map((name) => join(folder, name));
}

/**
 * Lists the Parquet files of a folder in the order of their names, as data sets of Hugging Face have them: in the folder
 * itself, or in its `data`; `train-*.parquet` alone where there are such. None: the folder holds something else.
 *
 * @throws {@link DpmError} Naming the folder: `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_UNSUPPORTED` if it has several
 * splits without one to train with.
 */
export async function parquetFilesOf(folder: string): Promise<string[]> {
  const found = await filesRightIn(folder);
  const inner = join(folder, 'data');
  return found.length > 0 || !(await isFolder(inner)) ? found : filesRightIn(inner);
}

/**
 * Reads pictures from a column of Parquet files, one page of it after the other: PNG or JPEG as plain bytes or in a struct
 * `{ bytes, path }`; with an integer column `label`, `labels` or `fine_label`, if there is one.
 *
 * @param paths - Files whose columns are the same, in the order of their rows.
 * @throws {@link DpmError} Naming the file, and the column and row where there is one: `ERR_DPM_FILE`,
 * `ERR_DPM_FILE_HEADER` or `ERR_DPM_FILE_TRUNCATED` for what is damaged, `ERR_DPM_TENSOR_MISSING` with the columns if none
 * is of images, `ERR_DPM_UNSUPPORTED` for what is not read, or takes a package that is not installed, `ERR_DPM_ARGUMENT` for
 * a label that is no class; the errors of {@link readPictures}.
 */
export async function readParquet(
  paths: readonly string[],
  options: OpenImagesOptions,
): Promise<DataImages & { broken: number }> {
  const files: ParquetFile[] = [];
  for (const path of paths) {
    const file = await readColumns(path, options.labels ?? openImagesDefaults.labels);
    requireAlike(files[0] ?? file, file);
    files.push(file);
  }
  return readPictures(picturesOf(files), options);
}
