import type { PromptedSample } from '../prompted-network.js';

/** Number of labels, of which one is free as long as fewer samples are waiting and running. */
export const SEATS = 2 ** 30;

/** Samples of a batch by the labels that its evaluations name them by. */
export class Seats {
  readonly #samples = new Map<number, PromptedSample>();
  #next = 0;

  /** Number of samples that have a label. */
  get count(): number {
    return this.#samples.size;
  }

  /** Gives each of some samples a label, until they are released. */
  take(samples: readonly PromptedSample[]): number[] {
    return samples.map((sample) => {
      while (this.#samples.has(this.#next)) this.#next = (this.#next + 1) % SEATS;
      const label = this.#next;
      this.#samples.set(label, sample);
      // A label is not given again at once: an evaluation may still name a sample that has just left.
      this.#next = (label + 1) % SEATS;
      return label;
    });
  }

  release(labels: readonly number[]): void {
    for (const label of labels) this.#samples.delete(label);
  }

  /** Gives the sample of a label; undefined: it has left. */
  readonly sampleOf = (label: number): PromptedSample | undefined => this.#samples.get(label);
}
