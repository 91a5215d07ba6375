import { createHash } from 'node:crypto';

import Type from 'typebox';

import { ServerError } from '../base/problem.js';

/** The number of keys that are kept, the newest. */
const MOST_KEYS = 10_000;
const DAY = 86_400_000;

/** The headers of requests that can be sent again. */
export const keyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same request under the same key gives the same images: 1 to 255 characters.' }),
  ),
});

/**
 * The value of the header `Idempotency-Key`.
 *
 * @throws {@link ServerError} `ERR_DPM_ARGUMENT` where the value is not a key.
 */
export function requireKey(key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new ServerError('ERR_DPM_ARGUMENT', 'Idempotency-Key has to be 1 to 255 visible characters of ASCII');
}

/** A run that equal requests share. It ends early once all of them have left. */
class SharedRun<T> {
  readonly #result: Promise<T>;
  readonly #nobody = new AbortController();
  #waiting = 0;

  constructor(run: (signal: AbortSignal) => Promise<T>) {
    this.#result = run(this.#nobody.signal);
  }

  /** True once all have left. */
  get isLeft(): boolean {
    return this.#nobody.signal.aborted;
  }

  join(signal: AbortSignal): Promise<T> {
    ++this.#waiting;
    const leave = (): void => {
      if (--this.#waiting === 0) this.#nobody.abort();
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    return this.#result;
  }
}

/** The request that a key stands for. */
interface Entry<T> {
  readonly hash: string;
  readonly seed: bigint;
  readonly from: number;
  running?: SharedRun<T> | undefined;
}

/** A request that has been made under a key. */
export interface Keyed<T> {
  /** The seed of the first request with this key. */
  readonly seed: bigint;
  /** Starts a run, or joins the one of an equal request. */
  run(signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/**
 * Requests by their header `Idempotency-Key`. Only a hash of the request and its seed are kept: as results are
 * functions of both, the same request gives the same bytes again.
 */
export class IdempotencyKeys<T> {
  /** The keys, the oldest first. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * @param client - Keys of different clients are different.
   * @param request - Everything that the answer depends on.
   * @param draw - Draws the seed for a new key.
   * @throws {@link ServerError} `ERR_DPM_IDEMPOTENCY` where the key stands for another request, `ERR_DPM_ARGUMENT` for a wrong key.
   */
  of(client: string, key: string, request: unknown, draw: () => bigint): Keyed<T> {
    const name = JSON.stringify([client, requireKey(key)]);
    const hash = createHash('sha256').update(JSON.stringify(request)).digest('hex');
    this.#forget();
    const known = this.#entries.get(name);
    if (known !== undefined && known.hash !== hash) {
      throw new ServerError('ERR_DPM_IDEMPOTENCY', 'the Idempotency-Key stands for another request');
    }
    const entry = known ?? { hash, seed: draw(), from: this.#now() };
    this.#entries.set(name, entry);
    return { seed: entry.seed, run: (signal, run) => this.#run(entry, signal, run) };
  }

  #run(entry: Entry<T>, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (entry.running === undefined || entry.running.isLeft) {
      const made = new SharedRun<T>(async (shared) => {
        try {
          return await run(shared);
        } finally {
          // Another run may have begun after this one was left.
          if (entry.running === made) entry.running = undefined;
        }
      });
      entry.running = made;
    }
    return entry.running.join(signal);
  }

  #forget(): void {
    for (const [name, { from, running }] of this.#entries) {
      const isOld = this.#now() - from > DAY || this.#entries.size >= MOST_KEYS;
      if (!isOld) return;
      if (running === undefined) this.#entries.delete(name);
    }
  }
}
