import { DpmError } from './errors.js';

/** Closing of an object that waits for the caller's functions, which may never answer. */
export class Closing {
  readonly #waiting = new Set<() => void>();
  readonly #what: string;
  #isClosed = false;

  /** @param what - Name of the closed object, for messages. */
  constructor(what: string) {
    this.#what = what;
  }

  /** Checks that it is open. @throws {@link DpmError} `ERR_DPM_CLOSED` once it is closed. */
  requireOpen(): void {
    if (this.#isClosed) throw this.#error();
  }

  /** Rejects all waits. Can be called again. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#waiting) stop();
    this.#waiting.clear();
  }

  /**
   * Waits for the result of `work`; rejects with `ERR_DPM_CLOSED` as soon as this is closed. The work then goes on and
   * its result is ignored.
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
