import type { ImageBatch } from '../images/image-batch.js';

/** What a stream tells of its request. */
export type BatchEvent =
  /** It has been taken in; milliseconds until it is expected to begin. */
  | { type: 'accepted'; expectedWait: number }
  /** Records done and records in all, over all samples. The newest alone where nobody has read the last one. */
  | { type: 'progress'; done: number; total: number }
  /** What a sample looks like after so many records, [1, C, H, W]. */
  | { type: 'preview'; sample: number; record: number; image: ImageBatch }
  /** A sample that is done, [1, C, H, W]. */
  | { type: 'image'; sample: number; image: ImageBatch }
  /** Everything is done: network evaluations (0 of adaptive samplers, which are not counted), and the milliseconds before its first sample had a slot and from then on. */
  | { type: 'done'; evaluations: number; queued: number; ran: number };

/** Events that wait for a reader, who takes them one by one; the last progress event is the only one that waits. */
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

  /** No more events come. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader gets the events that wait and then this error. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = { error };
    this.end();
  }

  /** Events as they come, to the end. */
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
