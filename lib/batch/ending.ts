import { DpmError } from '../base/errors.js';

/** Timers of Node take no longer ones. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** What can end a request early: its caller's signal, its deadline, and the batch itself. */
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

  /** For the work. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the work with this error. */
  end(reason: DpmError): void {
    this.#reason ??= reason;
    this.#controller.abort(reason);
  }

  /**
   * Does the work, which `signal` ends.
   *
   * @throws {@link DpmError} The reason of {@link Ending.end}; else what the work rejects with.
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
