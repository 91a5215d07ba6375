import type { FileHandle } from 'node:fs/promises';

import { DpmError } from '../../base/errors.js';
import { readExactly } from '../../files/files.js';
import { MAX_PICKLE_BYTES } from './limits.js';
import { MoreBytesNeeded } from './pickle-reader.js';
import { shortKey, StorageTable } from './pickled-tensors.js';
import type { PytorchStorage } from './tensor.js';
import { unpickle } from './unpickle.js';
import type { PickleValue } from './values.js';

const FIRST_READ = 64 * 1024;
const GROWTH = 8;

/** Stream of pickles that follow each other in a file without their lengths. */
class PickleStream {
  position = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly path: string,
    private readonly size: number,
  ) {}

  /**
   * The next pickle. Its first bytes are read, and more of them if it goes on; it then starts over, which multiplies the
   * work by 8/7 at most.
   *
   * @param newStorages - makes the table its tensors refer to, for each start; null: no tensors
   */
  async next<T extends StorageTable | null>(
    what: string,
    newStorages: () => T,
  ): Promise<{ value: PickleValue; storages: T }> {
    const base = this.position;
    const available = Math.min(this.size - base, MAX_PICKLE_BYTES);
    for (let wanted = FIRST_READ; ;) {
      const bytes = await readExactly(this.file, this.path, base, Math.min(wanted, available));
      const storages = newStorages();
      try {
        const { value, length } = unpickle({ where: `${this.path}: ${what}`, bytes, available, base }, storages);
        this.position += length;
        return { value, storages };
      } catch (error) {
        if (!(error instanceof MoreBytesNeeded)) throw error;
        wanted = Math.max(GROWTH * bytes.length, error.bytes);
      }
    }
  }
}

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

async function checkPreamble(stream: PickleStream, path: string): Promise<void> {
  const plain = async (what: string): Promise<PickleValue> => (await stream.next(what, () => null)).value;
  if ((await plain('magic number')) !== MAGIC) {
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path} is a pickle, not a PyTorch file: it does not begin with PyTorch's magic number`,
    );
  }
  const version = await plain('protocol version');
  if (version !== PROTOCOL) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path} does not have version ${PROTOCOL} of PyTorch's old file format`);
  }
  const system = await plain('system');
  if (!(system instanceof Map) || system.get('little_endian') !== true) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path} is not from a little-endian machine; load it there and save it with torch.save of PyTorch 1.6 or newer`,
    );
  }
}

/** Reads the keys after the objects, in the order of their bytes: those of the storages, each once. */
function storageOrder(path: string, keys: PickleValue, storages: StorageTable): PytorchStorage[] {
  const seen = new Set<PickleValue>();
  const order: PytorchStorage[] = [];
  for (const key of Array.isArray(keys) ? keys : [null]) {
    const storage = typeof key === 'string' ? storages.byKey.get(key) : undefined;
    if (storage === undefined || seen.has(key)) {
      const name = typeof key === 'string' ? `'${shortKey(key)}'` : 'without a name';
      throw new DpmError('ERR_DPM_FILE_HEADER', `${path}: storage ${name} is listed twice, or no tensor uses it`);
    }
    seen.add(key);
    order.push(storage);
  }
  for (const key of storages.byKey.keys()) {
    if (!seen.has(key)) {
      throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path}: storage '${shortKey(key)}' is not in the file`);
    }
  }
  return order;
}

/** Places storages, each of which follows its number of elements. Returns where the last one ends. */
async function placeStorages(
  file: FileHandle,
  path: string,
  order: readonly PytorchStorage[],
  start: number,
  size: number,
): Promise<number> {
  let position = start;
  for (const storage of order) {
    const name = `storage '${shortKey(storage.key)}'`;
    const end = position + 8 + storage.bytes;
    if (end > size) {
      throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${size} bytes, ${name} needs ${end}`);
    }
    const count = Buffer.from(await readExactly(file, path, position, 8)).readBigInt64LE();
    if (count !== BigInt(storage.elements)) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SIZE',
        `${path}: ${name} is preceded by the number ${count}, its tensors say ${storage.elements}`,
      );
    }
    storage.place(position + 8);
    position = end;
  }
  return position;
}

/**
 * Reads the form of PyTorch before 1.6: pickles, then storages.
 *
 * @param size - Size of the file, in bytes
 * @throws {@link DpmError} The errors of {@link unpickle}; `ERR_DPM_FILE_HEADER`, `ERR_DPM_FILE_TRUNCATED`,
 * `ERR_DPM_TENSOR_SIZE` and `ERR_DPM_TENSOR_MISSING` for damage around the pickles.
 */
export async function readLegacyForm(file: FileHandle, path: string, size: number): Promise<PickleValue> {
  const stream = new PickleStream(file, path, size);
  await checkPreamble(stream, path);
  const { value, storages } = await stream.next('objects', () => new StorageTable(size, 'legacy'));
  const { value: keys } = await stream.next('storage keys', () => null);
  const order = storageOrder(path, keys, storages);
  const end = await placeStorages(file, path, order, stream.position, size);
  if (end !== size)
    throw new DpmError('ERR_DPM_FILE_HEADER', `${path} has ${size - end} bytes behind its last storage`);
  return value;
}
