import { brotliDecompressSync, gunzipSync } from 'node:zlib';

import type * as library from 'hyparquet-compressors';

import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';

/** Names of Parquet's codecs by their numbers. */
const codecs = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'LZO', 'BROTLI', 'LZ4', 'ZSTD', 'LZ4_RAW'];

const packageName = 'hyparquet-compressors';

/** The functions of the package that codecs come from which Node has not. */
export type Compressors = Pick<typeof library, 'decompressSnappy' | 'decompressZstd' | 'decompressLz4Raw'>;

/** Unpacks bytes to exactly so many as they say; what it throws is of no form. */
type Unpack = (bytes: Uint8Array, length: number) => Uint8Array;

/** Unpacks a page to so many bytes as its header says. @throws {@link DpmError} Naming the column. */
export type Decompressor = (bytes: Uint8Array, length: number) => Uint8Array;

/** A number of 7 bits a byte, lowest first, by which Snappy begins: the size of what it unpacks to. */
function snappySize(bytes: Uint8Array): number {
  let size = 0;
  for (let i = 0; i < 5; ++i) {
    const byte = bytes[i] ?? 0;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return size;
  }
  return Infinity;
}

/** Computes the size of what a block of LZ4 unpacks to, which its decoder does not tell; NaN: it is cut off. */
function lz4Size(bytes: Uint8Array): number {
  let position = 0;
  const lengthOf = (first: number): number => {
    let length = first;
    for (let byte = first === 15 ? 255 : 0; byte === 255; length += byte) byte = bytes[position++] ?? NaN;
    return length;
  };
  for (let size = 0; position < bytes.length;) {
    const token = bytes[position++] ?? 0;
    const literals = lengthOf(token >> 4);
    position += literals;
    size += literals;
    // The last part has no copy behind it.
    if (position === bytes.length) return size;
    position += 2;
    size += lengthOf(token & 15) + 4;
  }
  return NaN;
}

async function importCompressors(): Promise<Compressors> {
  try {
    return await import('hyparquet-compressors');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new DpmError('ERR_DPM_UNSUPPORTED', `it takes a package of its own: npm install ${packageName}`, { cause });
  }
}

/** The codecs that Node has itself. */
const ofNode: Readonly<Record<string, Unpack>> = {
  UNCOMPRESSED: (bytes) => bytes,
  GZIP: (bytes, length) => gunzipSync(bytes, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length) }),
};

/** The codecs of the package, each of which writes to as many bytes as are allocated for it. */
function ofPackage({ decompressSnappy, decompressZstd, decompressLz4Raw }: Compressors): Record<string, Unpack> {
  return {
    SNAPPY: (bytes, length) => {
      // The package allocates by the one size, and writes by the other.
      if (snappySize(bytes) !== length) throw new Error('Snappy has another size');
      return decompressSnappy(bytes, length);
    },
    ZSTD: (bytes, length) => decompressZstd(bytes, new Uint8Array(length)),
    LZ4_RAW: (bytes, length) => {
      if (lz4Size(bytes) !== length) throw new Error('LZ4 has another size');
      return decompressLz4Raw(bytes, length);
    },
  };
}

async function unpackOf(where: string, codec: number, load: () => Promise<Compressors>): Promise<Unpack> {
  const name = codecs[codec] ?? String(codec);
  const own = ofNode[name];
  if (own !== undefined) return own;
  if (!['SNAPPY', 'ZSTD', 'LZ4_RAW'].includes(name)) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${where} is compressed by ${name}, which is not read`);
  }
  try {
    const unpack = ofPackage(await load())[name];
    if (unpack !== undefined) return unpack;
  } catch (cause) {
    if (!(cause instanceof DpmError)) throw cause;
    throw new DpmError(cause.code, `${where} is compressed by ${name}: ${cause.message}`, { cause });
  }
  throw new DpmError('ERR_DPM_INTERNAL', `${where}: there is nothing for ${name}`);
}

/**
 * Gives what unpacks the pages of a column.
 *
 * @param where - Names file and column, in errors.
 * @param codec - Number of the codec in Parquet.
 * @param load - Loads the package, only for a codec that takes it.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a codec that is not read, or whose package is not installed.
 */
export async function decompressorOf(
  where: string,
  codec: number,
  load: () => Promise<Compressors> = importCompressors,
): Promise<Decompressor> {
  const unpack = await unpackOf(where, codec, load);
  return (bytes, length) => {
    requireMemory(where, length, 1);
    let unpacked: Uint8Array;
    try {
      unpacked = unpack(bytes, length);
    } catch (cause) {
      // What decoders say of damaged bytes is of no help.
      throw new DpmError('ERR_DPM_FILE', `${where}: a page cannot be unpacked`, { cause });
    }
    if (unpacked.length === length) return unpacked;
    throw new DpmError('ERR_DPM_FILE', `${where}: a page has ${unpacked.length} bytes, it says that it has ${length}`);
  };
}
