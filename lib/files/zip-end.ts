import type { FileHandle } from 'node:fs/promises';

import { DpmError } from '../base/errors.js';
import { readExactly } from './files.js';

const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const END64_BYTES = 56;
const END = 0x06054b50;
const LOCATOR = 0x07064b50;
const END64 = 0x06064b50;

/** Place of the central directory of a zip archive. */
export interface ZipEnd {
  entries: number;
  offset: number;
  bytes: number;
}

interface ClaimedEnd extends ZipEnd {
  /** Position of this claim's record; the directory has to end there. */
  position: number;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The record of the old format, which is the last thing in the file: neither PyTorch nor NumPy write comments. */
function readEnd(path: string, tail: DataView, position: number): ClaimedEnd {
  const at = tail.byteLength - END_BYTES;
  if (at < 0 || tail.getUint32(at, true) !== END || tail.getUint16(at + 20, true) !== 0) {
    throw new DpmError(
      'ERR_DPM_FILE_TRUNCATED',
      `${path} begins as a zip archive, its last ${END_BYTES} bytes are not the end of one; it is cut short, or something was added`,
    );
  }
  const disks = [tail.getUint16(at + 4, true), tail.getUint16(at + 6, true)];
  const entries = tail.getUint16(at + 10, true);
  if (disks.some((disk) => disk !== 0) || tail.getUint16(at + 8, true) !== entries) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path} is part of a zip archive of several files`);
  }
  return { entries, bytes: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true), position };
}

/** The record of zip64. Sizes beyond 2^53 come out rounded, and larger than any file. */
async function readEnd64(file: FileHandle, path: string, locator: DataView, end: number): Promise<ClaimedEnd> {
  const position = Number(locator.getBigUint64(8, true));
  if (locator.getUint32(4, true) !== 0 || locator.getUint32(16, true) > 1 || position !== end - END64_BYTES) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the zip64 record is not right before its locator`);
  }
  const record = viewOf(await readExactly(file, path, position, END64_BYTES));
  const entries = Number(record.getBigUint64(32, true));
  const plain =
    record.getUint32(0, true) === END64 &&
    record.getBigUint64(4, true) === BigInt(END64_BYTES - 12) &&
    record.getUint32(16, true) === 0 &&
    record.getUint32(20, true) === 0 &&
    Number(record.getBigUint64(24, true)) === entries;
  if (!plain) throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the zip64 record of the archive's end is damaged`);
  return {
    entries,
    bytes: Number(record.getBigUint64(40, true)),
    offset: Number(record.getBigUint64(48, true)),
    position,
  };
}

/** Checks that a number in a small record is that of the large one, so that all readers see the same archive. */
function checkAgreement(path: string, small: ClaimedEnd, large: ClaimedEnd): void {
  const agree = (a: number, b: number, limit: number): boolean => a === limit || a === b;
  if (
    !agree(small.entries, large.entries, 0xffff) ||
    !agree(small.bytes, large.bytes, 0xffffffff) ||
    !agree(small.offset, large.offset, 0xffffffff)
  ) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the two records of the archive's end disagree`);
  }
}

/**
 * Finds the central directory of a zip archive of `size` bytes, which has to lie right before the end records.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE_TRUNCATED` without an end record, `ERR_DPM_FILE_HEADER` with a damaged one.
 */
export async function findZipEnd(file: FileHandle, path: string, size: number): Promise<ZipEnd> {
  const length = Math.min(size, END_BYTES + LOCATOR_BYTES);
  const tail = viewOf(await readExactly(file, path, size - length, length));
  let end = readEnd(path, tail, size - END_BYTES);
  const hasLocator = length === END_BYTES + LOCATOR_BYTES && tail.getUint32(0, true) === LOCATOR;
  if (hasLocator) {
    const large = await readEnd64(file, path, tail, size - length);
    checkAgreement(path, end, large);
    end = large;
  }
  if (end.offset + end.bytes !== end.position) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the zip directory has ${end.bytes} bytes at ${end.offset}, it has to end at ${end.position}`,
    );
  }
  return { entries: end.entries, offset: end.offset, bytes: end.bytes };
}
