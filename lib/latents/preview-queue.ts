/** Previews of a run, which are made one after the other beside it. */
export class PreviewQueue {
  #last: Promise<void> = Promise.resolve();

  /** Adds the making of a preview; after one that failed none is made. */
  add(make: () => Promise<void>): void {
    this.#last = this.#last.then(make);
    // The error is told by `shown`.
    this.#last.catch(() => undefined);
  }

  /** Waits for the previews so far; rejects with the error of the first that failed. */
  shown(): Promise<void> {
    return this.#last;
  }
}
