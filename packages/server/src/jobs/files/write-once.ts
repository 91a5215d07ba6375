import { randomUUID } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The ending of files that are being written; those of a process that has died are of no use. */
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

/** Makes the names in a folder survive the machine's end, where the system can do that. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  try {
    await folder?.sync();
  } catch {
    // Windows has no such thing.
  } finally {
    await folder?.close();
  }
}

/** Whether an error says that a file is there already. */
function isThere(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}

/**
 * Writes a file whole, so that it survives the machine's end when this resolves. One that is there stays as it is. Its folder has to be
 * there: one that was removed meanwhile does not come back with this file alone.
 *
 * @returns Whether it was written now.
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

/** Writes a file whole in the place of what was there. */
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
