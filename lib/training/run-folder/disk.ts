import { open, rename, rm } from 'node:fs/promises';

import { fileError, makeFolder, writeAtomically } from '../../files/files.js';

/** What a run does to its folder. Every call is one that a full disk or a kill may stop. */
export interface Disk {
  /** Makes a folder; it may be there. */
  makeFolder(path: string): Promise<void>;
  /** Writes a file whole or not at all, so that it survives a crash of the machine. */
  write(path: string, parts: Parameters<typeof writeAtomically>[1]): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a folder, if it is there. */
  remove(path: string): Promise<void>;
  /** Makes the names in a folder survive a crash of the machine, where the system can. */
  sync(folder: string): Promise<void>;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  try {
    await folder?.sync();
  } catch {
    // Windows cannot sync a folder.
  } finally {
    await folder?.close();
  }
}

/** The system's own. Errors are of `ERR_DPM_FILE`, and name the path. */
export const systemDisk: Disk = {
  async makeFolder(path) {
    await makeFolder(path);
  },
  write: (path, parts) => writeAtomically(path, parts),
  rename: (from, to) =>
    rename(from, to).catch((cause: unknown) => {
      throw fileError('write', to, cause);
    }),
  remove: (path) =>
    rm(path, { recursive: true, force: true }).catch((cause: unknown) => {
      throw fileError('remove', path, cause);
    }),
  sync: syncFolder,
};
