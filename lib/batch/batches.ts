import { DpmError, nativeWork } from '../base/errors.js';
import type { NativeBatchOptions, NativeRequestBatch, BatchCounts } from '../engine/binding.js';
import type { RunNetwork } from '../run/resolve.js';

/** Elements of one sample, and what the network's maps of it take. */
export interface RowSizes {
  readonly image: number;
  readonly out: number;
  readonly head: number;
  readonly rowBytes: number;
}

/** Past predictions that a sample keeps, as the budget counts them. */
const HISTORY = 3;

/** Bytes of a batch: maps and predictions of its rows, states of its slots. */
export function batchBytes({ image, out, head, rowBytes }: RowSizes, rows: number, slots: number): number {
  const compact = rowBytes + 4 * (image + out + head);
  return rows * compact + slots * 4 * (image * (2 + HISTORY) + out + head);
}

/**
 * Rows and slots that fit into a budget: fewer slots first, then fewer rows.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` when not even `least` rows fit.
 */
export function withinBudget(
  sizes: RowSizes,
  { rows, slots, least }: { rows: number; slots: number; least: number },
  budget: number,
): { rows: number; slots: number } {
  for (let fewer = rows; fewer >= least; --fewer) {
    const own = batchBytes(sizes, fewer, 0);
    const perSlot = batchBytes(sizes, 0, 1);
    const fitting = Math.min(slots, Math.floor((budget - own) / perSlot));
    if (fitting >= fewer) return { rows: fewer, slots: fitting };
  }
  const needed = batchBytes(sizes, least, least);
  throw new DpmError(
    'ERR_DPM_OUT_OF_MEMORY',
    `a batch of ${least} rows takes ${needed} bytes, above memoryBudget of ${budget} bytes`,
  );
}

/**
 * The most rows of at most `rows` that fit into a budget.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` when there is none.
 */
export function largestWithin(sizes: RowSizes, rows: number, budget: number): number {
  return withinBudget(sizes, { rows, slots: rows, least: 1 }, budget).rows;
}

const noStats: BatchCounts = {
  steps: 0,
  rows: 0,
  paddedRows: 0,
  seconds: 0,
  resident: 0,
  waiting: 0,
  finished: 0,
  cancelled: 0,
  lastStepAt: 0,
};

/** What two batches have done together. */
export function bothCounts(a: BatchCounts, b: BatchCounts): BatchCounts {
  return {
    steps: a.steps + b.steps,
    rows: a.rows + b.rows,
    paddedRows: a.paddedRows + b.paddedRows,
    seconds: a.seconds + b.seconds,
    resident: a.resident + b.resident,
    waiting: a.waiting + b.waiting,
    finished: a.finished + b.finished,
    cancelled: a.cancelled + b.cancelled,
    lastStepAt: Math.max(a.lastStepAt, b.lastStepAt),
  };
}

/** One batch for every network of a model: those with a second output are others. Each is opened when it is needed. */
export class Batches {
  readonly #options: NativeBatchOptions;
  readonly #opening = new Map<RunNetwork, Promise<NativeRequestBatch>>();
  readonly #open: NativeRequestBatch[] = [];
  /** What had been done when they were closed. */
  #closed: BatchCounts | null = null;

  constructor(options: NativeBatchOptions) {
    this.#options = options;
  }

  /** The batch of a network. */
  async of(network: RunNetwork): Promise<NativeRequestBatch> {
    let batch = this.#opening.get(network);
    if (batch === undefined) {
      batch = nativeWork(() =>
        network.native.batch({ ...this.#options, guides: false, constrains: false, onQuestion: null }),
      );
      this.#opening.set(network, batch);
      batch.then(
        (batch) => this.#open.push(batch),
        () => this.#opening.delete(network),
      );
    }
    return batch;
  }

  /** Bytes that all of them have allocated. */
  get bytes(): number {
    return this.#open.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** What all of them have done. */
  stats(): BatchCounts {
    if (this.#closed !== null) return this.#closed;
    return this.#open.map((batch) => batch.stats()).reduce(bothCounts, noStats);
  }

  /** Ends all of them, and what is still being opened. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#opening.values());
    await Promise.all(
      opened.map(async (batch) => {
        if (batch.status === 'fulfilled') await nativeWork(() => batch.value.close());
      }),
    );
    this.#closed = this.stats();
    // They keep their networks.
    this.#open.length = 0;
    this.#opening.clear();
  }
}
