import { access, constants, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DpmError } from 'dpm-native';

import { forEachOf } from '../files/each-of.js';
import { makeFolder } from '../files/make-folder.js';
import type { Results } from './results.js';
import { unlessMissing } from '../files/unless-missing.js';
import { isWhole, sha256Of } from '../files/sha256.js';
import { writeOnce } from '../files/write-once.js';

/** The file with the digest of another. */
const sumOf = (path: string): string => `${path}.sha256`;

/** The number of files that are removed at once. */
const AT_ONCE = 16;

/** Samples in a folder, which several machines may share. */
export class FileResults implements Results {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws {@link DpmError} `ERR_DPM_FILE` where the folder cannot be written. */
  static async open(url: URL): Promise<FileResults> {
    const folder = fileURLToPath(url);
    try {
      await makeFolder(folder);
      await access(folder, constants.W_OK);
    } catch (cause) {
      throw new DpmError('ERR_DPM_FILE', `cannot use the results ${folder}: ${(cause as Error).message}`, { cause });
    }
    return new FileResults(folder);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#folder, key);
    await makeFolder(dirname(path));
    // Nobody reads a digest without its bytes.
    await writeOnce(sumOf(path), await sha256Of(bytes));
    await writeOnce(path, bytes);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const path = join(this.#folder, key);
    const bytes = await unlessMissing(readFile(path));
    if (bytes === undefined) return undefined;
    const sum = await unlessMissing(readFile(sumOf(path), 'latin1'));
    if (await isWhole(bytes, sum)) return bytes;
    for (const each of [path, sumOf(path)]) await rm(each, { force: true });
    return undefined;
  }

  async has(key: string): Promise<boolean> {
    return (await unlessMissing(access(join(this.#folder, key)).then(() => true))) ?? false;
  }

  async remove(keys: readonly string[]): Promise<void> {
    await forEachOf(keys, AT_ONCE, async (key) => {
      const path = join(this.#folder, key);
      // Nobody reads a digest without its bytes.
      for (const each of [path, sumOf(path)]) await rm(each, { force: true });
      // A folder with other samples stays. A worker that has just made it for more of them tries its chunk again.
      await rmdir(dirname(path)).catch(() => undefined);
    });
  }

  close(): void {
    // There is nothing to close.
  }
}
