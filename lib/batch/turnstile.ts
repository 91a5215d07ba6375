import { abortable, throwIfAborted } from '../base/abort.js';

/** Limits how many pass at once; the others wait in order of arrival. */
export class Turnstile {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Number of those that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Does `work` when there is a place for it.
   *
   * @throws {@link DpmError} `ERR_DPM_ABORTED` if `signal` aborts before.
   */
  async pass<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) ++this.#free;
      else next();
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.#free > 0) {
      --this.#free;
      return;
    }
    // An aborted caller does not take a place in the queue.
    throwIfAborted(signal);
    let leave: () => void = () => undefined;
    const turn = new Promise<void>((resolve, reject) => {
      this.#waiting.push(resolve);
      leave = () => {
        const place = this.#waiting.indexOf(resolve);
        if (place < 0) return;
        this.#waiting.splice(place, 1);
        reject(new Error('left'));
      };
    });
    await abortable(
      signal,
      () => {
        leave();
      },
      () => turn,
    );
  }
}
