import type { FileHandle } from 'node:fs/promises';

import { readExactly } from '../../files/files.js';
import { MAX_PICKLE_BYTES } from './limits.js';
import { MoreBytesNeeded } from './pickle-reader.js';
import type { StorageTable } from './storage-table.js';
import { unpickle } from './unpickle.js';
import type { PickleValue } from './values.js';

const FIRST_READ = 64 * 1024;
const GROWTH = 8;

/** Pickles that follow each other in a file without a word of how long they are. */
export class PickleStream {
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
