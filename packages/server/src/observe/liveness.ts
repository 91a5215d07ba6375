import { type BatchCounts, type BatchService, ReplicatedBatcher } from 'dpm-native';

import type { Registry, ServedModel } from '../models/registry.js';

/** Milliseconds without a step after which a batch with samples does nothing any more. */
const LIMIT = 60_000;

/** A batch as it was seen last. */
interface Seen {
  readonly steps: number;
  /** When that was seen first, or when it had nothing to do, in milliseconds of `performance.now()`. */
  readonly at: number;
}

/** What is looked at of a batch. */
type Counts = Pick<BatchCounts, 'steps' | 'resident' | 'waiting'>;

/** The batches of a model: replicas are looked at one by one, as one that is silent is not heard among the others. */
function batchesOf(batcher: BatchService): readonly { stats(): Counts }[] {
  return batcher instanceof ReplicatedBatcher ? batcher.batchers : [batcher];
}

/** Looks at the batches of all models again and again, for those that have samples and make no steps. */
export class Liveness {
  readonly #registry: Pick<Registry, 'working'>;
  readonly #limit: number;
  readonly #timer: NodeJS.Timeout;
  readonly #seen = new WeakMap<object, Seen>();

  constructor(registry: Pick<Registry, 'working'>, limit = LIMIT) {
    this.#registry = registry;
    this.#limit = limit;
    this.#timer = setInterval(() => {
      this.#silent();
    }, limit / 12);
    this.#timer.unref();
  }

  /** Why the process should be started anew; nothing where it lives. */
  reasons(): string[] {
    return this.#silent().map(({ id }) => `${id} has samples and has made no step for ${this.#limit / 1000} seconds`);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #silent(): ServedModel[] {
    // All are looked at, whatever is found.
    return this.#registry.working.filter(({ batcher }) =>
      batchesOf(batcher)
        .map((each) => this.#isSilent(each))
        .includes(true),
    );
  }

  #isSilent(batch: { stats(): Counts }): boolean {
    const { steps, resident, waiting } = batch.stats();
    const seen = this.#seen.get(batch);
    const now = performance.now();
    // Adaptive samplers run beside the batch, where they are none of its samples.
    if (seen?.steps === steps && resident + waiting > 0) return now - seen.at >= this.#limit;
    this.#seen.set(batch, { steps, at: now });
    return false;
  }
}
