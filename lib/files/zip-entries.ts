import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';

import { DpmError } from '../base/errors.js';
import { readExactly } from './files.js';
import type { ZipEnd } from './zip-end.js';

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(inflateRaw);

const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const ZIP64_EXTRA = 1;
const SATURATED = 0xffffffff;
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
const MAX_ENTRIES = 200_000;

/** An entry of a zip archive, from its central directory. */
export interface ZipEntry {
  name: string;
  /** Size in the archive in bytes. */
  bytes: number;
  /** Size in bytes of what it holds, as the directory says. */
  whole: number;
  isCompressed: boolean;
  crc: number;
  /** Position of its local header. */
  header: number;
  /** Position of the next entry, or of the directory. */
  limit: number;
}

/** Reads the records of a central directory one after the other. */
class DirectoryReader {
  private position = 0;
  private readonly view: DataView;

  constructor(
    private readonly path: string,
    private readonly bytes: Uint8Array,
    private readonly inFolder: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.position === this.bytes.length;
  }

  private fail(problem: string): never {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${this.path}: the zip directory ${problem}`);
  }

  private take(length: number): number {
    const begin = this.position;
    if (length > this.bytes.length - begin) this.fail('ends inside an entry');
    this.position = begin + length;
    return begin;
  }

  next(): ZipEntry {
    const at = this.take(ENTRY_BYTES);
    const u16 = (offset: number): number => this.view.getUint16(at + offset, true);
    const u32 = (offset: number): number => this.view.getUint32(at + offset, true);
    if (u32(0) !== ENTRY) this.fail(`has no entry at byte ${at}`);
    const nameAt = this.take(u16(28));
    const name = entryName(this.path, this.bytes.subarray(nameAt, this.position), this.inFolder);
    const extraAt = this.take(u16(30));
    const extra = this.bytes.subarray(extraAt, this.position);
    this.take(u16(32));
    const [stored, bytes, header] = this.largeNumbers(extra, name, u32(20), u32(24), u32(42));
    checkPlain(this.path, name, { flags: u16(8), method: u16(10), disk: u16(34), stored, bytes });
    return { name, bytes: stored, whole: bytes, isCompressed: u16(10) !== 0, crc: u32(16), header, limit: 0 };
  }

  /** Replaces numbers that do not fit 32 bits by those of the zip64 field. */
  private largeNumbers(extra: Uint8Array, name: string, ...small: [number, number, number]): [number, number, number] {
    if (!small.includes(SATURATED)) return small;
    const view = new DataView(extra.buffer, extra.byteOffset, extra.byteLength);
    let [at, end] = [0, 0];
    for (let field = 0; field + 4 <= extra.length && end === 0;) {
      const next = field + 4 + view.getUint16(field + 2, true);
      if (view.getUint16(field, true) === ZIP64_EXTRA) [at, end] = [field + 4, Math.min(next, extra.length)];
      field = next;
    }
    const large = (value: number): number => {
      if (value !== SATURATED) return value;
      if (at + 8 > end) this.fail(`gives no size for the large entry '${name}'`);
      at += 8;
      return Number(view.getBigUint64(at - 8, true));
    };
    // Order differs from that in the record: whole size, stored size, offset.
    const bytes = large(small[1]);
    return [large(small[0]), bytes, large(small[2])];
  }
}

function entryName(path: string, bytes: Uint8Array, inFolder: boolean): string {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the name of an entry is not UTF-8`, { cause });
  }
  const parts = name.split('/');
  const isPlain =
    (parts.length > 1 || !inFolder) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    !/[\\\0:]/.test(name);
  if (!isPlain) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${name.slice(0, 200)}' is not a plain path${inFolder ? ' inside one folder, as PyTorch writes them' : ''}`,
    );
  }
  return name;
}

interface EntryTraits {
  flags: number;
  method: number;
  disk: number;
  stored: number;
  bytes: number;
}

function checkPlain(path: string, name: string, { flags, method, disk, stored, bytes }: EntryTraits): void {
  if ((flags & 1) !== 0) throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: the entry '${name}' is encrypted`);
  if ((method === 0 && stored !== bytes) || disk !== 0) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${name}' is not compressed, yet takes ${stored} bytes for ${bytes}`,
    );
  }
}

/** Checks that each entry ends before the next one begins; local headers are checked when an entry is opened. */
function checkLayout(path: string, entries: readonly ZipEntry[], end: number): void {
  const ordered = [...entries].sort((a, b) => b.header - a.header);
  let limit = end;
  for (const entry of ordered) {
    entry.limit = limit;
    const needed = entry.header + LOCAL_BYTES + Buffer.byteLength(entry.name) + entry.bytes;
    if (needed > limit) {
      throw new DpmError(
        'ERR_DPM_TENSOR_OVERLAP',
        `${path}: the entry '${entry.name}' needs the bytes up to ${needed}, the next one begins at ${limit}`,
      );
    }
    limit = entry.header;
  }
}

/** Reads the entries of a directory by name. */
async function readEntries(
  file: FileHandle,
  path: string,
  end: ZipEnd,
  inFolder: boolean,
): Promise<Map<string, ZipEntry>> {
  if (end.bytes > MAX_DIRECTORY_BYTES || end.entries > MAX_ENTRIES || end.entries * ENTRY_BYTES > end.bytes) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the zip directory claims ${end.entries} entries in ${end.bytes} bytes`,
    );
  }
  const reader = new DirectoryReader(path, await readExactly(file, path, end.offset, end.bytes), inFolder);
  const entries = new Map<string, ZipEntry>();
  for (let i = 0; i < end.entries; ++i) {
    const entry = reader.next();
    if (entries.has(entry.name)) {
      throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: there are two entries '${entry.name}'`);
    }
    entries.set(entry.name, entry);
  }
  if (entries.size === 0 || !reader.isAtEnd) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the zip directory has no entries, or more than it counts`);
  }
  checkLayout(path, [...entries.values()], end.offset);
  return entries;
}

/**
 * The entries of a zip archive by name, with plain names, inside the file and apart.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER`, `ERR_DPM_UNSUPPORTED`, `ERR_DPM_TENSOR_OVERLAP` naming the entry.
 */
export function readZipEntries(file: FileHandle, path: string, end: ZipEnd): Promise<Map<string, ZipEntry>> {
  return readEntries(file, path, end, false);
}

/**
 * The entries of a zip archive whose names lie in one common folder, as {@link readZipEntries} gives them.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER`, `ERR_DPM_UNSUPPORTED`, `ERR_DPM_TENSOR_OVERLAP` naming the entry.
 */
export async function readZipDirectory(
  file: FileHandle,
  path: string,
  end: ZipEnd,
): Promise<{ folder: string; entries: Map<string, ZipEntry> }> {
  const entries = await readEntries(file, path, end, true);
  const folders = [...new Set([...entries.keys()].map((name) => name.slice(0, name.indexOf('/'))))];
  const [folder = '', other] = folders;
  if (other !== undefined) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: entries lie in the folders '${folder}' and '${other}'`);
  }
  return { folder, entries };
}

/**
 * Finds the first byte of an entry, after its local header, whose padding the directory does not know.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` if the local header differs from the directory's, or
 * `ERR_DPM_TENSOR_OVERLAP` if it pushes the entry into the next one.
 */
export async function entryPosition(file: FileHandle, path: string, entry: ZipEntry): Promise<number> {
  const name = Buffer.from(entry.name);
  const header = await readExactly(file, path, entry.header, LOCAL_BYTES + name.length);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const isSize = (size: number, known: number): boolean => size === 0 || size === 0xffffffff || size === known;
  const matches =
    view.getUint32(0, true) === LOCAL &&
    (view.getUint16(8, true) !== 0) === entry.isCompressed &&
    isSize(view.getUint32(18, true), entry.bytes) &&
    isSize(view.getUint32(22, true), entry.whole) &&
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

/** Unpacks the bytes of an entry, which may become no larger than the directory says. */
async function inflated(path: string, { name, whole }: ZipEntry, bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await inflate(bytes, { maxOutputLength: Math.max(1, whole) });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: the entry '${name}' cannot be unpacked: ${reason}`, { cause });
  }
}

/**
 * The bytes of an entry, unpacked, at most `limit`, with their checksum compared.
 *
 * @throws {@link DpmError} like {@link entryPosition}, and `ERR_DPM_FILE_HEADER` for too many bytes, bytes that cannot be
 * unpacked or another checksum.
 */
export async function readEntry(file: FileHandle, path: string, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  if (entry.whole > limit || entry.bytes > limit) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${entry.name}' has ${Math.max(entry.whole, entry.bytes)} bytes, at most ${limit} are read`,
    );
  }
  const stored = await readExactly(file, path, await entryPosition(file, path, entry), entry.bytes);
  const bytes = entry.isCompressed ? await inflated(path, entry, stored) : stored;
  const crc = crc32(bytes);
  if (crc !== entry.crc || bytes.length !== entry.whole) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path}: the entry '${entry.name}' has the checksum ${crc.toString(16)} in ${bytes.length} bytes, the zip directory says ${entry.crc.toString(16)} in ${entry.whole}`,
    );
  }
  return bytes;
}
