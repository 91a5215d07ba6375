import type { Worker } from 'bullmq';

/** A queue whose chunks can be drawn here. */
export interface Workplace {
  readonly queue: string;
  /** The number of chunks that are drawn at once. */
  readonly concurrency: number;
}

/** Takes chunks of several queues, which change as models come and go. */
export class Takers {
  readonly #make: (place: Workplace) => Worker;
  readonly #onError: (error: Error) => void;
  readonly #taking = new Map<string, Worker>();
  /** Those of queues that are not wanted any more, which end their last chunks. */
  readonly #leaving = new Set<Worker>();
  #isPaused = false;

  constructor(make: (place: Workplace) => Worker, onError: (error: Error) => void) {
    this.#make = make;
    this.#onError = onError;
  }

  /** The number of queues, including those whose last chunks are being drawn. */
  get size(): number {
    return this.#taking.size + this.#leaving.size;
  }

  /** Takes chunks of these queues alone from now on. Chunks of others that are being drawn are drawn to their end. */
  async place(places: readonly Workplace[]): Promise<void> {
    if (this.#isPaused) return;
    const wanted = new Set(places.map(({ queue }) => queue));
    for (const [queue, taker] of this.#taking) if (!wanted.has(queue)) this.#leave(queue, taker);
    await Promise.all(places.map((place) => this.#take(place)));
  }

  async #take(place: Workplace): Promise<void> {
    const known = this.#taking.get(place.queue);
    if (known !== undefined) {
      known.concurrency = place.concurrency;
      // Its model may be another one than that for which it has stopped.
      await known.resume();
      return;
    }
    const taker = this.#make(place).on('error', this.#onError);
    this.#taking.set(place.queue, taker);
    // Closing a worker that has no connection yet would never end.
    await taker.waitUntilReady();
  }

  #leave(queue: string, taker: Worker): void {
    this.#taking.delete(queue);
    this.#leaving.add(taker);
    // It waits before it closes, so that closing can still be forced where Redis has gone meanwhile.
    void taker
      .pause()
      .then(() => taker.close())
      .catch(this.#onError)
      .finally(() => this.#leaving.delete(taker));
  }

  /** Takes no more chunks of a queue until the next change. */
  stop(queue: string): void {
    void this.#taking.get(queue)?.pause(true).catch(this.#onError);
  }

  /** Takes no more chunks. */
  pause(): void {
    this.#isPaused = true;
    for (const queue of this.#taking.keys()) this.stop(queue);
  }

  /** @param isForced - Waits for no chunk, as Redis is gone. */
  async close(isForced: boolean): Promise<void> {
    this.#isPaused = true;
    await Promise.allSettled([...this.#taking.values(), ...this.#leaving].map((taker) => taker.close(isForced)));
  }
}
