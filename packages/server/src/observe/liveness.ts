import { type BatcherCapacity, type BatcherStats, ReplicatedBatcher } from 'dpm-native';

import type { Registry } from '../models/registry.js';
import type { ServedModel } from '../models/served.js';

/** Milliseconds without a step after which a batch with samples counts as stuck, unless its steps take long. */
const LIMIT = 60_000;

/** Steps of all its rows that a batch is given the time of: those of large images take minutes on a CPU. */
const STEPS = 10;

/** The last look at a batch. */
interface Seen {
  readonly steps: number;
  /** The time since which the count has not changed, or of the last look without samples, in milliseconds of `performance.now()`. */
  readonly at: number;
}

/** A batch, as far as it matters here. */
interface Batch {
  readonly capacity: Pick<BatcherCapacity, 'rows' | 'rowsPerSecond'>;
  stats(): Pick<BatcherStats, 'steps' | 'resident' | 'waiting' | 'slowdown'>;
}

/** The batches of a model. Replicas are separate, as the steps of some would hide that another is stuck. */
function batchesOf(batcher: ServedModel['batcher']): readonly Batch[] {
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
    return this.#silent().map(
      ({ id, seconds }) => `${id} has samples and has made no step for ${Math.floor(seconds)} seconds`,
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** The models that have made no step for too long, and for how long. */
  #silent(): { id: string; seconds: number }[] {
    return this.#registry.working.flatMap(({ id, batcher }) => {
      // No batch is skipped, as each look has to be noted.
      const silences = batchesOf(batcher).map((each) => this.#silenceOf(each));
      const longest = Math.max(...silences);
      return longest > 0 ? [{ id, seconds: longest / 1000 }] : [];
    });
  }

  /** The milliseconds that a batch has been stuck for; 0 if it is not. */
  #silenceOf(batch: Batch): number {
    const { steps, resident, waiting, slowdown } = batch.stats();
    const seen = this.#seen.get(batch);
    const now = performance.now();
    // Adaptive samplers run outside of the batch and do not count as its samples.
    if (seen?.steps !== steps || resident + waiting === 0) {
      this.#seen.set(batch, { steps, at: now });
      return 0;
    }
    const { rows, rowsPerSecond } = batch.capacity;
    const limit = Math.max(this.#limit, (STEPS * 1000 * rows * slowdown) / rowsPerSecond);
    return now - seen.at >= limit ? now - seen.at : 0;
  }
}
