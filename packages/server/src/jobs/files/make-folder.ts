import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes one folder, which another process may make at the same time. */
async function makeOne(path: string, mode: number | undefined): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(path)).isDirectory();
    if (!isThere) throw error;
  }
}

/**
 * Makes a folder and its missing parents one after the other. Node's own `recursive` never ends where the system cannot make a folder in
 * one that exists (/proc).
 *
 * @param mode - The mode of the folders that are made.
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
