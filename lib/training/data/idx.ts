import { createReadStream } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { fileError, isThere, withFile } from '../../files/files.js';
import { checkedLabels, wrongShape, type DataImages } from './images-in-memory.js';

/** Type of IDX whose elements are bytes, the one of MNIST and its successors. */
const UNSIGNED_BYTE = 8;

const MOST_SIZES = 4;

/** DEFLATE gives at most this many bytes for one. */
const MOST_EXPANSION = 1032;

/** Bytes of an IDX file, and what they are. */
interface IdxArray {
  shape: number[];
  bytes: Uint8Array;
}

/** Takes the parts of a file, of which the sizes come first. */
class IdxReader {
  #head = Buffer.alloc(0);
  #array: IdxArray | null = null;
  #filled = 0;

  constructor(
    private readonly path: string,
    /** Maximum number of bytes that the file can hold. */
    private readonly most: number,
  ) {}

  add(part: Buffer): void {
    if (this.#array !== null) {
      this.#fill(this.#array, part);
      return;
    }
    this.#head = Buffer.concat([this.#head, part]);
    if (this.#head.length < 4) return;
    const rank = this.#rank();
    const length = 4 + 4 * rank;
    if (this.#head.length < length) return;
    this.#array = this.#allocated(Array.from({ length: rank }, (_, i) => this.#head.readUInt32BE(4 + 4 * i)));
    this.#fill(this.#array, this.#head.subarray(length));
  }

  end(): IdxArray {
    const array = this.#array;
    if (array === null)
      throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${this.path} ends before the sizes of an IDX file`);
    if (this.#filled !== array.bytes.length) {
      throw new DpmError(
        'ERR_DPM_FILE_TRUNCATED',
        `${this.path} ends after ${this.#filled} bytes of [${array.shape.join(', ')}]`,
      );
    }
    return array;
  }

  #rank(): number {
    const [first, second, type, rank] = this.#head;
    if (first !== 0 || second !== 0 || rank === undefined || rank < 1 || rank > MOST_SIZES) {
      throw new DpmError('ERR_DPM_FILE_HEADER', `${this.path}: this is no IDX file of 1 to ${MOST_SIZES} sizes`);
    }
    if (type !== UNSIGNED_BYTE) {
      throw new DpmError(
        'ERR_DPM_UNSUPPORTED',
        `${this.path}: the IDX file has type ${type ?? 0}, only bytes (8) are read`,
      );
    }
    return rank;
  }

  #allocated(shape: number[]): IdxArray {
    // Four sizes of 32 bits exceed what a double holds exactly; only their size matters then.
    const elements = elementCount(shape);
    if (elements > this.most) {
      const what = `${this.path} says that it is [${shape.join(', ')}]`;
      throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${what}, which its bytes cannot be`);
    }
    requireMemory(this.path, elements, 1);
    return { shape, bytes: new Uint8Array(elements) };
  }

  #fill({ bytes, shape }: IdxArray, part: Uint8Array): void {
    if (this.#filled + part.length > bytes.length) {
      throw new DpmError('ERR_DPM_FILE_HEADER', `${this.path} has bytes behind those of [${shape.join(', ')}]`);
    }
    bytes.set(part, this.#filled);
    this.#filled += part.length;
  }
}

async function readArray(path: string): Promise<IdxArray> {
  const size = await withFile(path, (_, bytes) => Promise.resolve(bytes));
  const isPacked = path.toLowerCase().endsWith('.gz');
  const reader = new IdxReader(path, size * (isPacked ? MOST_EXPANSION : 1));
  // What a pipeline fails with need not be what its last part threw.
  let refused: unknown;
  const take = async (parts: AsyncIterable<Buffer>): Promise<void> => {
    try {
      for await (const part of parts) reader.add(part);
    } catch (error) {
      refused = error;
      throw error;
    }
  };
  try {
    const source = createReadStream(path);
    await (isPacked ? pipeline(source, createGunzip(), take) : pipeline(source, take));
  } catch (cause) {
    if (refused instanceof DpmError) throw refused;
    throw fileError('read', path, cause);
  }
  return reader.end();
}

/** Finds the file of labels beside images: `train-labels-idx1-ubyte` for `train-images-idx3-ubyte`, packed or not. */
async function labelsBeside(path: string): Promise<string | null> {
  const name = basename(path);
  const own = name.replace('images', 'labels').replace(/idx[34]/, 'idx1');
  if (own === name) return null;
  const stem = own.replace(/\.gz$/i, '');
  for (const each of [own, stem, `${stem}.gz`]) {
    const beside = join(dirname(path), each);
    if (await isThere(beside)) return beside;
  }
  return null;
}

/** Tells whether a file is one of IDX, by its name: `…-idx3-ubyte`, `….idx`, packed by gzip or not. */
export function isIdxName(path: string): boolean {
  return /(?:idx\d?(?:-ubyte)?|-ubyte)(?:\.gz)?$/i.test(path);
}

/**
 * Reads an IDX file of bytes, [N, H, W] of grey or [N, C, H, W], packed by gzip if its name ends in `.gz`, with the file of
 * labels beside it, if there is one.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_FILE_HEADER`, `ERR_DPM_FILE_TRUNCATED`, `ERR_DPM_UNSUPPORTED`,
 * `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_OUT_OF_MEMORY` naming the file.
 */
export async function readIdx(path: string): Promise<DataImages> {
  const { shape, bytes } = await readArray(path);
  const [count = 0, ...rest] = shape;
  if (rest.length < 2) throw wrongShape(path, shape, '[N, H, W] or [N, C, H, W]');
  const [channels = 1, height = 0, width = 0] = rest.length === 2 ? [1, ...rest] : rest;
  const beside = await labelsBeside(path);
  const labels = beside === null ? null : await readArray(beside);
  if (labels !== null && labels.shape.length !== 1) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${beside ?? ''}: labels are [${labels.shape.join(', ')}], not [N]`);
  }
  return {
    images: bytes,
    labels: labels === null ? null : checkedLabels(beside ?? path, labels.bytes, count),
    shape: [count, channels, height, width],
  };
}
