import type { FileHandle } from 'node:fs/promises';

import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { readExactly } from '../files.js';
import { readCompact } from './compact.js';
import { Fields } from './fields.js';
import { leavesOf, type Leaf } from './schema.js';

const MAGIC = 'PAR1';
/** Mark of a file whose footer is encrypted. */
const ENCRYPTED = 'PARE';

/** Bytes of the mark at the beginning, and of length and mark at the end. */
const HEAD_BYTES = 4;
const TAIL_BYTES = 8;

const MOST_FOOTER_BYTES = 16 * 1024 * 1024;

/** Where the values of a column lie that belong to the rows of a group. */
export interface Chunk {
  /** Names file and column, in errors. */
  readonly where: string;
  readonly leaf: Leaf;
  /** Number of the codec in Parquet. */
  readonly codec: number;
  /** Number of values, as many as rows. */
  readonly values: number;
  /** First byte in the file, and the one behind the last. */
  readonly start: number;
  readonly end: number;
}

/** Rows that are stored together. */
export interface RowGroup {
  readonly rows: number;
  /** Gives the chunk of a column. @throws {@link DpmError} `ERR_DPM_FILE_HEADER` or `ERR_DPM_UNSUPPORTED`. */
  chunk(leaf: Leaf): Chunk;
}

/** What a file says that it holds. */
export interface Footer {
  readonly path: string;
  readonly leaves: readonly Leaf[];
  readonly rows: number;
  readonly groups: readonly RowGroup[];
}

function wrongFile(path: string, what: string): DpmError {
  return new DpmError('ERR_DPM_FILE_HEADER', `${path}: ${what}`);
}

async function readFooterBytes(file: FileHandle, path: string, size: number): Promise<Uint8Array> {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
  if (size < HEAD_BYTES + TAIL_BYTES || text(await readExactly(file, path, 0, HEAD_BYTES)) !== MAGIC) {
    throw wrongFile(path, 'this is no Parquet file');
  }
  const tail = await readExactly(file, path, size - TAIL_BYTES, TAIL_BYTES);
  const mark = text(tail.subarray(4));
  if (mark === ENCRYPTED) throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: the Parquet file is encrypted`);
  if (mark !== MAGIC) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path}: the Parquet file does not end with its footer`);
  }
  const length = new DataView(tail.buffer).getUint32(0, true);
  if (length > Math.min(MOST_FOOTER_BYTES, size - HEAD_BYTES - TAIL_BYTES)) {
    throw wrongFile(path, `the Parquet file says that its footer has ${length} bytes`);
  }
  return readExactly(file, path, size - TAIL_BYTES - length, length);
}

/** Reads where a chunk lies, and checks that it is inside the part of the file that holds data. */
function chunkOf(path: string, leaf: Leaf, fields: Fields, rows: number, dataEnd: number): Chunk {
  const where = `${path}: column '${leaf.path.join('.')}'`;
  if (fields.has(1)) throw new DpmError('ERR_DPM_UNSUPPORTED', `${where} lies in another file`);
  const data = fields.inner(3, 'meta_data');
  if (data.texts(3, 'path_in_schema').join('\0') !== leaf.path.join('\0')) {
    throw wrongFile(path, `column '${leaf.path.join('.')}' has the data of another one`);
  }
  const values = data.count(5, 'num_values');
  if (values !== rows) throw wrongFile(where, `it has ${values} values for ${rows} rows`);
  const first = data.count(9, 'data_page_offset');
  const dictionary = data.count(11, 'dictionary_page_offset', 0);
  const start = dictionary > 0 && dictionary < first ? dictionary : first;
  const end = start + data.count(7, 'total_compressed_size');
  if (start < HEAD_BYTES || end > dataEnd) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${where} says that it lies at bytes ${start} to ${end}`);
  }
  return { where, leaf, codec: data.count(4, 'codec'), values, start, end };
}

function groupOf(path: string, leaves: readonly Leaf[], fields: Fields, dataEnd: number): RowGroup {
  const rows = fields.count(3, 'num_rows');
  const columns = fields.structs(1, 'columns');
  if (columns.length !== leaves.length) {
    throw wrongFile(path, `rows have ${columns.length} columns, the schema has ${leaves.length}`);
  }
  return { rows, chunk: (leaf) => chunkOf(path, leaf, at(columns, leaves.indexOf(leaf)), rows, dataEnd) };
}

/**
 * Reads what a Parquet file says that it holds.
 *
 * @param size - Size of the file in bytes.
 * @throws {@link DpmError} Naming the file: `ERR_DPM_FILE_HEADER`, `ERR_DPM_FILE_TRUNCATED`, `ERR_DPM_UNSUPPORTED` for an
 * encrypted one.
 */
export async function readFooter(file: FileHandle, path: string, size: number): Promise<Footer> {
  const bytes = await readFooterBytes(file, path, size);
  const fields = new Fields(path, readCompact(path, bytes).fields);
  const leaves = leavesOf(path, fields.structs(2, 'schema'));
  const rows = fields.count(3, 'num_rows');
  const dataEnd = size - TAIL_BYTES - bytes.length;
  const groups = fields.structs(4, 'row_groups').map((group) => groupOf(path, leaves, group, dataEnd));
  const inGroups = groups.reduce((sum, group) => sum + group.rows, 0);
  if (inGroups !== rows) throw wrongFile(path, `it says that it has ${rows} rows, and ${inGroups} in its groups`);
  // A picture takes far more than a byte, so memory and time stay in proportion to the file.
  if (rows > size) throw wrongFile(path, `it says that it has ${rows} rows in ${size} bytes`);
  return { path, leaves, rows, groups };
}
