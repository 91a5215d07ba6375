import type { ImageBatch } from '../images/image-batch.js';

/** Event of a request's stream. */
export type BatchEvent =
  /** Acceptance of the request, with the expected milliseconds until it begins. */
  | { type: 'accepted'; expectedWait: number }
  /** Number of finished records and of all records, over all samples. A newer event replaces an unread one. */
  | { type: 'progress'; done: number; total: number }
  /** Preview of a sample after so many records, [1, C, H, W]. */
  | { type: 'preview'; sample: number; record: number; image: ImageBatch }
  /** Finished sample, [1, C, H, W]. */
  | { type: 'image'; sample: number; image: ImageBatch }
  /**
   * End, with network evaluations (0 for adaptive samplers), milliseconds until its first sample had a slot and since; of a
   * pipeline with the samples of whose texts tokens were left out.
   */
  | { type: 'done'; evaluations: number; queued: number; ran: number; truncated?: readonly boolean[] };

/** Queue of events for a reader, who takes them one by one; of progress events only the last one waits. */
export class EventQueue {
  readonly #events: BatchEvent[] = [];
  #wake: (() => void) | null = null;
  #ended = false;
  #failure: { error: unknown } | null = null;

  push(event: BatchEvent): void {
    if (this.#ended) return;
    if (event.type === 'progress') {
      const waiting = this.#events.findIndex(({ type }) => type === 'progress');
      if (waiting >= 0) this.#events.splice(waiting, 1);
    }
    this.#events.push(event);
    this.#wake?.();
  }

  /** Ends the queue: no more events come. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Ends the queue with an error, which the reader gets after the waiting events. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = { error };
    this.end();
  }

  /** Yields events as they come, to the end. */
  async *read(): AsyncGenerator<BatchEvent, void, void> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        yield event;
      } else if (this.#ended) {
        if (this.#failure !== null) throw this.#failure.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    }
  }
}
