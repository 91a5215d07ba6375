import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

import { DpmError } from '../../base/errors.js';
import { readExactly } from '../../files/files.js';
import type { ZipEntry } from './zip-directory.js';

const LOCAL_BYTES = 30;
const LOCAL = 0x04034b50;

/**
 * Where the bytes of an entry begin: behind its local header, whose padding the directory does not know.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` where the local header is another than the directory's, or
 * `ERR_DPM_TENSOR_OVERLAP` where it pushes the entry into the next one.
 */
export async function entryPosition(file: FileHandle, path: string, entry: ZipEntry): Promise<number> {
  const name = Buffer.from(entry.name);
  const header = await readExactly(file, path, entry.header, LOCAL_BYTES + name.length);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const isSize = (size: number): boolean => size === 0 || size === 0xffffffff || size === entry.bytes;
  const matches =
    view.getUint32(0, true) === LOCAL &&
    view.getUint16(8, true) === 0 &&
    isSize(view.getUint32(18, true)) &&
    isSize(view.getUint32(22, true)) &&
    view.getUint16(26, true) === name.length &&
    name.equals(header.subarray(LOCAL_BYTES));
  if (!matches) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the header of the entry '${entry.name}' at byte ${entry.header} is not what the zip directory says`,
    );
  }
  const position = entry.header + header.length + view.getUint16(28, true);
  if (position + entry.bytes > entry.limit) {
    throw new DpmError(
      'ERR_DPM_TENSOR_OVERLAP',
      `${path}: the entry '${entry.name}' ends at byte ${position + entry.bytes}, the next one begins at ${entry.limit}`,
    );
  }
  return position;
}

/**
 * The bytes of an entry, at most `limit`, with their checksum compared.
 *
 * @throws {@link DpmError} like {@link entryPosition}, and `ERR_DPM_FILE_HEADER` for too many bytes or another checksum.
 */
export async function readEntry(file: FileHandle, path: string, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  if (entry.bytes > limit) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${entry.name}' has ${entry.bytes} bytes, at most ${limit} are read`,
    );
  }
  const bytes = await readExactly(file, path, await entryPosition(file, path, entry), entry.bytes);
  const crc = crc32(bytes);
  if (crc !== entry.crc) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${entry.name}' has the checksum ${crc.toString(16)}, the zip directory says ${entry.crc.toString(16)}`,
    );
  }
  return bytes;
}
