import { randomUUID } from 'node:crypto';
import { readFile, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { DpmError } from 'dpm-native';

import { writeOnce } from '../files/write-once.js';

/** The locks of this process. Its id alone does not tell, as an earlier process may have had the same. */
const held = new Set<string>();

/** The start of a process in ticks since boot; null where the system does not tell. Ids of processes are used again, starts are not. */
async function beginningOf(pid: number): Promise<string | null> {
  try {
    const status = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The second field is a name in parentheses, which may hold anything.
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

interface Owner {
  pid: number;
  /** See {@link beginningOf}. */
  began: string | null;
}

function ownerOf(text: string): Owner | null {
  const [, pid, began] = /^(\d{1,10}) (\d+|-)\n$/.exec(text) ?? [];
  if (pid === undefined || began === undefined) return null;
  return { pid: Number(pid), began: began === '-' ? null : began };
}

async function isAlive(path: string, text: string): Promise<boolean> {
  const owner = ownerOf(text);
  // An unreadable lock belongs to a process that died while writing it.
  if (owner === null) return false;
  if (owner.pid === process.pid && owner.began === (await beginningOf(process.pid))) return held.has(path);
  if (!isRunning(owner.pid)) return false;
  const began = await beginningOf(owner.pid);
  return began === null || owner.began === null || began === owner.began;
}

/** Removes the lock of a dead process, and no other lock. */
async function takeAway(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch(() => undefined);
  const taken = await readFile(aside, 'latin1').catch(() => text);
  if (taken !== text) await rename(aside, path);
  await rm(aside, { force: true });
}

/** A lock that gives a folder to one process at a time, even after a crash. */
export class SpoolLock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws {@link DpmError} `ERR_DPM_CONFIG` naming the folder and the process that has it. */
  static async take(folder: string): Promise<SpoolLock> {
    // The real path is the same however the folder is named.
    const path = join(await realpath(folder), 'lock');
    const own = `${process.pid} ${(await beginningOf(process.pid)) ?? '-'}\n`;
    for (let tries = 0; tries < 3; ++tries) {
      // The lock appears whole, so that no process mistakes a half-written one for an unreadable one.
      if (await writeOnce(path, own)) {
        held.add(path);
        return new SpoolLock(path);
      }
      const text = await readFile(path, 'latin1').catch(() => null);
      if (text === null) continue;
      if (await isAlive(path, text)) {
        throw new DpmError('ERR_DPM_CONFIG', `the spool ${folder} is in use by process ${text.split(' ')[0] ?? ''}`);
      }
      await takeAway(path, text);
    }
    throw new DpmError('ERR_DPM_CONFIG', `the spool ${folder} is in use`);
  }

  async release(): Promise<void> {
    held.delete(this.#path);
    await rm(this.#path, { force: true });
  }
}
