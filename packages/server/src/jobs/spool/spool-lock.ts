import { realpath, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { DpmError } from 'dpm-native';
import { lock } from 'proper-lockfile';

import { isFull } from '../files/full-disk.js';
import { unlessMissing } from '../files/unless-missing.js';
import { giveReserve, keepReserve } from './reserve.js';

/** Milliseconds between two signs of life of whoever has a folder. */
const HEARTBEAT = 1000;
/** Milliseconds without one after which somebody else may have it. */
const SILENCE = 5000;
/** Milliseconds between two looks. */
const LOOK_EVERY = 100;

type Release = () => Promise<void>;

/** Takes a lock; undefined where somebody has it. */
async function taken(folder: string, path: string, onLost: (cause: Error) => void): Promise<Release | undefined> {
  try {
    return await lock(folder, { lockfilePath: path, update: HEARTBEAT, stale: SILENCE, onCompromised: onLost });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOCKED') return undefined;
    if (isFull(error) && (await giveReserve(folder))) return taken(folder, path, onLost);
    throw error;
  }
}

/** The time of the last sign of life; undefined where the lock is gone. */
async function lastSign(path: string): Promise<number | undefined> {
  return (await unlessMissing(stat(path)))?.mtimeMs;
}

/**
 * A lock that gives a folder to one server at a time, also to one of another container, and even after a crash: whoever has it gives
 * signs of life, and loses it without them.
 */
export class SpoolLock {
  readonly #release: Release;
  #isHeld = true;

  private constructor(release: Release) {
    this.#release = release;
  }

  /**
   * Takes the lock, which after a crash takes as long as nobody may have shown a sign of life.
   *
   * @param onLost - Is called when somebody else has taken it, as this process was stopped for long.
   * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the folder that a server has.
   */
  static async take(folder: string, onLost: (cause: Error) => void): Promise<SpoolLock> {
    // The real path is the same however the folder is named.
    const path = join(await realpath(folder), 'server.lock');
    let seen: number | undefined;
    let since = performance.now();
    for (;;) {
      let own: SpoolLock | undefined;
      const release = await taken(folder, path, (cause) => {
        if (own !== undefined) own.#isHeld = false;
        onLost(cause);
      });
      if (release !== undefined) {
        own = new SpoolLock(release);
        await keepReserve(folder);
        return own;
      }
      const sign = await lastSign(path);
      if (seen !== undefined && sign !== undefined && sign !== seen) {
        throw new DpmError('ERR_DPM_CONFIG', `the spool ${folder} is in use by another server`);
      }
      if (sign !== seen) since = performance.now();
      seen = sign;
      // Clocks of machines differ and are set, so that a time alone does not tell that nobody is there.
      if (performance.now() - since > SILENCE) await rmdir(path).catch(() => undefined);
      await sleep(LOOK_EVERY);
    }
  }

  async release(): Promise<void> {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    await this.#release();
  }
}
