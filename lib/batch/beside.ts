import { DpmError, refusal } from '../base/errors.js';
import type { Refusals } from './admission.js';
import { Turnstile } from './turnstile.js';

/** Mean milliseconds of adaptive runs before one has been measured. */
const FIRST_GUESS = 1000;
/** Weight of the last run in the running mean. */
const NEWEST = 0.2;

/** Runs as soon as there is a place; rejects with `ERR_DPM_ABORTED` if the signal aborts before. */
export type Pass = <R>(signal: AbortSignal, run: () => Promise<R>) => Promise<Timed<R>>;

/** Runner of programs that decide while they run, which no batch can take: runs a few at once beside the batch. */
export class Beside {
  readonly #places: number;
  readonly #maxWait: number;
  readonly #refused: Refusals;
  readonly #turnstile: Turnstile;
  #unfinished = 0;
  #milliseconds = FIRST_GUESS;

  /** @param places - Number of runs at once; 0: all are refused. */
  constructor(places: number, maxWait: number, refused: Refusals) {
    this.#places = places;
    this.#maxWait = maxWait;
    this.#refused = refused;
    this.#turnstile = new Turnstile(places);
  }

  /**
   * Estimates the milliseconds until a run would begin.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` if there are no places, `ERR_DPM_OVERLOADED` for too long a wait.
   */
  requireRoom(): number {
    if (this.#places === 0) {
      throw new DpmError('ERR_DPM_UNSUPPORTED', 'this batcher runs no adaptive samplers: hostPrograms is 0');
    }
    const before = Math.max(0, this.#unfinished - this.#places + 1);
    const wait = (before * this.#milliseconds) / this.#places;
    if (wait <= this.#maxWait) return wait;
    ++this.#refused.wait;
    throw refusal(
      'ERR_DPM_OVERLOADED',
      `the expected wait of an adaptive sampler is ${Math.ceil(wait)} ms, above maxWait of ${this.#maxWait} ms`,
      Math.ceil(wait),
    );
  }

  /** Counts a run from now on; the run begins when `pass` lets it. */
  async counted<T>(work: (pass: Pass) => Promise<T>): Promise<T> {
    ++this.#unfinished;
    try {
      return await work((signal, run) => this.#pass(signal, run));
    } finally {
      --this.#unfinished;
    }
  }

  async #pass<R>(signal: AbortSignal, run: () => Promise<R>): Promise<Timed<R>> {
    const came = performance.now();
    return this.#turnstile.pass(signal, async () => {
      const began = performance.now();
      const result = await run();
      const ran = performance.now() - began;
      this.#milliseconds += NEWEST * (ran - this.#milliseconds);
      return { result, queued: began - came, ran };
    });
  }
}

/** Result, with the milliseconds that it waited and ran. */
export interface Timed<R> {
  result: R;
  queued: number;
  ran: number;
}
