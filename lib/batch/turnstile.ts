import { abortable, throwIfAborted } from '../base/abort.js';

/** Lets so many pass at once; the others wait in the order in which they came. */
export class Turnstile {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Does `work` when there is a place for it.
   *
   * @throws {@link DpmError} `ERR_DPM_ABORTED` when `signal` aborts before.
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
    // Nobody takes the place in the queue of one who is gone already.
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
