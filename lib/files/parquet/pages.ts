import type { FileHandle } from 'node:fs/promises';

import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { readExactly } from '../files.js';
import { readCompact } from './compact.js';
import { decompressorOf, type Decompressor } from './decompress.js';
import { Fields } from './fields.js';
import type { Chunk } from './footer.js';
import { readHybrid } from './hybrid.js';

/** Bytes that the header of a page may take: it may have the smallest and largest of the values. */
const MOST_HEADER_BYTES = 256 * 1024;

/** Bytes that are read at first. */
const HEADER_BYTES = 4096;

/** Kinds of pages in Parquet. */
const pageKinds = { data: 0, index: 1, dictionary: 2, data2: 3 } as const;

/** Encodings of Parquet that are read. */
const encodings = { plain: 0, plainDictionary: 2, runs: 3, dictionary: 8 } as const;

/** Reads so many values that lie there one after the other. */
export type PlainReader<T> = (where: string, bytes: Uint8Array, count: number) => T[];

function wrongPage(where: string, problem: string): DpmError {
  return new DpmError('ERR_DPM_FILE_HEADER', `${where}: a page ${problem}`);
}

/** A page as it lies in the file. */
interface Page {
  readonly header: Fields;
  readonly kind: number;
  /** Size of what it unpacks to. */
  readonly whole: number;
  readonly bytes: Uint8Array;
  /** Position behind it. */
  readonly end: number;
}

/** Reads the header of a page, which does not say its own size. */
async function readHeader(file: FileHandle, { where, end }: Chunk, position: number): Promise<[Fields, number]> {
  for (let most = HEADER_BYTES; ; most = MOST_HEADER_BYTES) {
    const bytes = await readExactly(file, where, position, Math.min(most, end - position));
    try {
      const { fields, end: length } = readCompact(where, bytes);
      return [new Fields(`${where}: a page`, fields), position + length];
    } catch (error) {
      if (most === MOST_HEADER_BYTES || bytes.length < most) throw error;
    }
  }
}

async function readPage(file: FileHandle, chunk: Chunk, position: number): Promise<Page> {
  const { where, end } = chunk;
  if (position >= end) throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${where} ends before its last value`);
  const [header, first] = await readHeader(file, chunk, position);
  const size = header.count(3, 'compressed_page_size');
  if (size > end - first) throw wrongPage(where, `has ${size} bytes where the column has ${end - first} more`);
  requireMemory(where, size, 1);
  return {
    header,
    kind: header.count(1, 'type'),
    whole: header.count(2, 'uncompressed_page_size'),
    bytes: await readExactly(file, where, first, size),
    end: first + size,
  };
}

/** Levels of definition and encoded values of a page, unpacked. */
interface PageParts {
  readonly count: number;
  readonly encoding: number;
  readonly levels: Uint8Array;
  readonly values: Uint8Array;
}

/** A page of the first form: all of it is compressed, and levels stand behind their size. */
function partsOfData(where: string, page: Page, hasLevels: boolean, unpack: Decompressor): PageParts {
  const header = page.header.inner(5, 'data_page_header');
  const bytes = unpack(page.bytes, page.whole);
  const own = { count: header.count(1, 'num_values'), encoding: header.count(2, 'encoding') };
  if (!hasLevels) return { ...own, levels: bytes.subarray(0, 0), values: bytes };
  if (header.count(3, 'definition_level_encoding') !== encodings.runs) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${where}: a page has levels of a deprecated encoding`);
  }
  const size = bytes.length < 4 ? Infinity : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (size > bytes.length - 4) throw wrongPage(where, 'ends inside its levels');
  return { ...own, levels: bytes.subarray(4, 4 + size), values: bytes.subarray(4 + size) };
}

/** A page of the second form: levels come first and are not compressed. */
function partsOfData2(where: string, page: Page, unpack: Decompressor): PageParts {
  const header = page.header.inner(8, 'data_page_header_v2');
  const levels = header.count(5, 'definition_levels_byte_length');
  const repeated = header.count(6, 'repetition_levels_byte_length');
  if (repeated !== 0) throw wrongPage(where, 'has repeated values');
  if (levels > Math.min(page.bytes.length, page.whole)) throw wrongPage(where, 'ends inside its levels');
  const rest = page.bytes.subarray(levels);
  const size = page.whole - levels;
  const isCompressed = header.flag(7, 'is_compressed', true) && size > 0;
  return {
    count: header.count(1, 'num_values'),
    encoding: header.count(4, 'encoding'),
    levels: page.bytes.subarray(0, levels),
    values: isCompressed ? unpack(rest, size) : rest,
  };
}

/** Looks values up in those of the dictionary. */
function lookedUp<T>(where: string, bytes: Uint8Array, count: number, dictionary: readonly T[] | null): T[] {
  if (dictionary === null) throw wrongPage(where, 'has places in a dictionary, and there is none');
  // A page without values need not have the byte either.
  if (count === 0) return [];
  const [width] = bytes;
  if (width === undefined) throw wrongPage(where, 'ends before its values');
  return Array.from(readHybrid(where, bytes.subarray(1), width, count), (place) => {
    if (place < dictionary.length) return at(dictionary, place);
    throw wrongPage(where, `has place ${place} in a dictionary of ${dictionary.length} values`);
  });
}

/** Puts null where a level says that there is no value. */
function* withNulls<T>(levels: Uint32Array, present: number, values: readonly T[]): Generator<T | null> {
  let next = 0;
  for (const level of levels) yield level === present ? at(values, next++) : null;
}

/** Reads the values of a chunk page by page. */
class ChunkReader<T> {
  #dictionary: T[] | null = null;

  constructor(
    private readonly chunk: Chunk,
    private readonly unpack: Decompressor,
    private readonly read: PlainReader<T>,
  ) {}

  takeDictionary(page: Page, most: number): void {
    const { where } = this.chunk;
    const header = page.header.inner(7, 'dictionary_page_header');
    const count = header.count(1, 'num_values');
    if (this.#dictionary !== null) throw wrongPage(where, 'is a second dictionary');
    if (count > most) throw wrongPage(where, `is a dictionary of ${count} values for ${most} rows`);
    this.#requireEncoding(header.count(2, 'encoding'), [encodings.plain, encodings.plainDictionary]);
    this.#dictionary = this.read(where, this.unpack(page.bytes, page.whole), count);
  }

  /** @param most - Number of values that are left. */
  valuesOf(page: Page, most: number): { count: number; values: Iterable<T | null> } {
    const { where, leaf } = this.chunk;
    const { present } = leaf;
    const parts =
      page.kind === pageKinds.data
        ? partsOfData(where, page, present > 0, this.unpack)
        : partsOfData2(where, page, this.unpack);
    const { count, encoding } = parts;
    if (count > most) throw wrongPage(where, `has ${count} values where ${most} are left`);
    if (present === 0) return { count, values: this.#encoded(encoding, parts.values, count) };
    const levels = readHybrid(where, parts.levels, 32 - Math.clz32(present), count);
    const there = levels.reduce((sum, level) => sum + (level === present ? 1 : 0), 0);
    return { count, values: withNulls(levels, present, this.#encoded(encoding, parts.values, there)) };
  }

  #encoded(encoding: number, bytes: Uint8Array, count: number): T[] {
    const { where } = this.chunk;
    this.#requireEncoding(encoding, [encodings.plain, encodings.plainDictionary, encodings.dictionary]);
    if (encoding === encodings.plain) return this.read(where, bytes, count);
    return lookedUp(where, bytes, count, this.#dictionary);
  }

  #requireEncoding(encoding: number, read: readonly number[]): void {
    if (read.includes(encoding)) return;
    const what = `${this.chunk.where} has the encoding ${encoding}`;
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${what}, only plain values (0) and dictionaries (2, 8) are read`);
  }
}

/**
 * Reads the values of a chunk in the order of its rows; null where there is none. One page is in memory at a time, and the
 * dictionary.
 *
 * @param read - Reads values of the type of the column.
 * @throws {@link DpmError} Naming file and column: `ERR_DPM_FILE`, `ERR_DPM_FILE_HEADER` or `ERR_DPM_FILE_TRUNCATED` for
 * what is damaged, `ERR_DPM_UNSUPPORTED` for codecs and encodings that are not read, `ERR_DPM_OUT_OF_MEMORY`.
 */
export async function* readChunk<T>(file: FileHandle, chunk: Chunk, read: PlainReader<T>): AsyncGenerator<T | null> {
  const reader = new ChunkReader(chunk, await decompressorOf(chunk.where, chunk.codec), read);
  let position = chunk.start;
  for (let left = chunk.values; left > 0;) {
    const page = await readPage(file, chunk, position);
    position = page.end;
    if (page.kind === pageKinds.index) continue;
    if (page.kind === pageKinds.dictionary) {
      reader.takeDictionary(page, chunk.values);
      continue;
    }
    if (page.kind !== pageKinds.data && page.kind !== pageKinds.data2) {
      throw wrongPage(chunk.where, `is of the unknown kind ${page.kind}`);
    }
    const { count, values } = reader.valuesOf(page, left);
    left -= count;
    yield* values;
  }
}
