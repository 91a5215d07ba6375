import { setTimeout as sleep } from 'node:timers/promises';

/** The most milliseconds between two tries. */
const LONGEST_PAUSE = 60_000;

/** Tells whether an error says that there is no room: on the disk, or for this user. */
export function isFull(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Tells whether an error passes without anything that a job could do: there is no room, or a bucket cannot be reached. */
function isPassing(error: unknown): boolean {
  return isFull(error) || (Object(error) as { code?: unknown }).code === 'ERR_DPM_STORAGE';
}

/** How a write is tried again. */
export interface Patience {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Milliseconds until the second try, doubled after each one. */
  readonly pause: number;
  /** Hears of each try that failed. */
  readonly onFull: (error: unknown) => void;
}

/**
 * Writes as soon as there is room: what has been drawn is not drawn again because a disk was full, or a bucket away.
 *
 * @throws What `write` throws but for these reasons, and an `AbortError` once `signal` is aborted.
 */
export async function onceThereIsRoom<T>(write: () => Promise<T>, { signal, pause, onFull }: Patience): Promise<T> {
  for (let wait = pause; ; wait = Math.min(2 * wait, LONGEST_PAUSE)) {
    try {
      return await write();
    } catch (error) {
      if (!isPassing(error)) throw error;
      onFull(error);
      await sleep(wait, undefined, { signal });
    }
  }
}
