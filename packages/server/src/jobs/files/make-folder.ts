import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Others may make it at the same moment. */
async function makeOne(path: string, mode: number | undefined): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(path)).isDirectory();
    if (!isThere) throw error;
  }
}

/**
 * Makes a folder, and those that it lies in, where they are not there yet: one after the other, as Node's own way goes on for ever where a
 * system cannot make a folder in one that is there (/proc).
 *
 * @param mode - Of those that are made.
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  try {
    await makeOne(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await makeOne(path, mode);
  }
}
