import { randomUUID } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The ending of files that are being written. If their process dies, they are of no use. */
export const UNFINISHED = '.unfinished';

async function written(path: string, bytes: Uint8Array | string): Promise<string> {
  const temporary = `${path}.${randomUUID()}${UNFINISHED}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return temporary;
}

/** Makes new names in a folder survive a crash of the machine, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  try {
    await folder?.sync();
  } catch {
    // Windows cannot sync a folder.
  } finally {
    await folder?.close();
  }
}

/** Tells whether an error says that the file exists already. */
function isThere(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}

/**
 * Writes a whole file, which survives a crash of the machine once this resolves. A file that exists stays as it is. The folder has to
 * exist: if it was removed meanwhile, it is not made again for this file alone.
 *
 * @returns True where the file was written now.
 */
export async function writeOnce(path: string, bytes: Uint8Array | string): Promise<boolean> {
  const temporary = await written(path, bytes);
  try {
    await link(temporary, path);
  } catch (error) {
    if (!isThere(error)) throw error;
    return false;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

/** Writes a whole file, and replaces an older one. */
export async function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = await written(path, bytes);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
