import { DpmError } from '../base/errors.js';

/** Longest delay of Node's timers, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Early end of a request by its caller's signal, its deadline, or the batch. */
export class Ending {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #reason: DpmError | null = null;

  /**
   * @param deadline - Milliseconds from now.
   * @param late - The error of a request whose deadline has passed.
   */
  constructor(caller: AbortSignal | undefined, deadline: number | undefined, late: () => DpmError) {
    this.#caller = caller;
    caller?.addEventListener('abort', this.#follow, { once: true });
    if (deadline === undefined || deadline > LONGEST_TIMER) return;
    this.#timer = setTimeout(() => {
      this.end(late());
    }, deadline);
  }

  /** Signal for the work. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the work with this error. */
  end(reason: DpmError): void {
    this.#reason ??= reason;
    this.#controller.abort(reason);
  }

  /**
   * Does work that `signal` ends.
   *
   * @throws {@link DpmError} The reason of {@link Ending.end}; else the error of the work.
   */
  async during<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (this.#reason !== null && error instanceof DpmError && error.code === 'ERR_DPM_ABORTED') throw this.#reason;
      throw error;
    } finally {
      clearTimeout(this.#timer);
      this.#caller?.removeEventListener('abort', this.#follow);
    }
  }

  readonly #follow = (): void => {
    this.#controller.abort(this.#caller?.reason);
  };
}
