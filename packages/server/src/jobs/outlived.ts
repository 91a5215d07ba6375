import type { Holding } from './admission.js';

/** For how long, and for how many bytes, jobs are kept that are over. */
export interface Keeping {
  /** Milliseconds after their last change. */
  readonly keep: number;
  /** The most bytes of the samples of all jobs, by default no limit. */
  readonly keepBytes?: number;
}

/** Milliseconds between two looks for jobs that are not kept any more. */
export const CLEAN_EVERY = 3_600_000;

/** The jobs that are not kept any more: those that are too old, and the oldest beyond the bytes. */
export function outlived(held: readonly Holding[], { keep, keepBytes = Infinity }: Keeping, now: number): Holding[] {
  let bytes = held.reduce((sum, each) => sum + each.bytes, 0);
  const gone: Holding[] = [];
  for (const each of held.filter(({ canGo }) => canGo).sort((a, b) => a.changedAt - b.changedAt)) {
    if (each.changedAt >= now - keep && bytes <= keepBytes) break;
    bytes -= each.bytes;
    gone.push(each);
  }
  return gone;
}

/** Tells of each failed removal once, until it succeeds: removals are tried again at every look. */
export class Removals {
  readonly #failed = new Set<string>();
  readonly #onTrouble: (error: unknown) => void;

  constructor(onTrouble: (error: unknown) => void = () => undefined) {
    this.#onTrouble = onTrouble;
  }

  /** Removes something, and tells whether it is gone. */
  async try(name: string, remove: () => Promise<void>): Promise<boolean> {
    try {
      await remove();
      this.#failed.delete(name);
      return true;
    } catch (error) {
      if (!this.#failed.has(name)) this.#onTrouble(error);
      this.#failed.add(name);
      return false;
    }
  }
}
