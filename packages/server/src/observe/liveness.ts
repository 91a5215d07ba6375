import { type BatchCounts, ReplicatedBatcher } from 'dpm-native';

import type { Registry } from '../models/registry.js';
import type { ServedModel } from '../models/served.js';

/** Milliseconds without a step after which a batch with samples counts as stuck. */
const LIMIT = 60_000;

/** The last look at a batch. */
interface Seen {
  readonly steps: number;
  /** The time since which the count has not changed, or of the last look without samples, in milliseconds of `performance.now()`. */
  readonly at: number;
}

/** The counts of a batch that matter here. */
type Counts = Pick<BatchCounts, 'steps' | 'resident' | 'waiting'>;

/** The batches of a model. Replicas are separate, as the steps of some would hide that another is stuck. */
function batchesOf(batcher: ServedModel['batcher']): readonly { stats(): Counts }[] {
  return batcher instanceof ReplicatedBatcher ? batcher.batchers : [batcher];
}

/** Watches the batches of all models for those that have samples and make no steps. */
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

  /** The reasons for a restart of the process; empty while all is well. */
  reasons(): string[] {
    return this.#silent().map(({ id }) => `${id} has samples and has made no step for ${this.#limit / 1000} seconds`);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #silent(): ServedModel[] {
    // No batch is skipped, as each look has to be noted.
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
    // Adaptive samplers run outside of the batch and do not count as its samples.
    if (seen?.steps === steps && resident + waiting > 0) return now - seen.at >= this.#limit;
    this.#seen.set(batch, { steps, at: now });
    return false;
  }
}
