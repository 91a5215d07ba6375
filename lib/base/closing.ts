import { DpmError } from './errors.js';

/** The end of something that waits for functions of its caller's, which may never answer. */
export class Closing {
  readonly #waiting = new Set<() => void>();
  readonly #what: string;
  #isClosed = false;

  /** @param what - Is closed, in messages. */
  constructor(what: string) {
    this.#what = what;
  }

  /** @throws {@link DpmError} `ERR_DPM_CLOSED` once it is closed. */
  requireOpen(): void {
    if (this.#isClosed) throw this.#error();
  }

  /** Rejects all that is waited for. Can be called again. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#waiting) stop();
    this.#waiting.clear();
  }

  /**
   * What `work` comes to, or `ERR_DPM_CLOSED` as soon as this is closed: the work is left alone then, and what becomes of it is nobody's
   * concern.
   */
  async during<T>(work: () => T | Promise<T>): Promise<T> {
    this.requireOpen();
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        reject(this.#error());
      };
      this.#waiting.add(stop);
      const done = (): void => void this.#waiting.delete(stop);
      (async () => work())().finally(done).then(resolve, reject);
    });
  }

  #error(): DpmError {
    return new DpmError('ERR_DPM_CLOSED', `the ${this.#what} is closed`);
  }
}
