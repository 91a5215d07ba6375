import { DpmError, nativeWork } from '../base/errors.js';
import type { NativeBatchOptions, NativeRequestBatch, BatchCounts } from '../engine/binding.js';
import type { RunNetwork } from '../run/resolve.js';

/** Number of elements of one sample, and bytes of its maps in the network. */
export interface RowSizes {
  readonly image: number;
  readonly out: number;
  readonly head: number;
  readonly rowBytes: number;
}

/** Number of past predictions per sample that the budget counts. */
const HISTORY = 3;

/** Bytes of a batch: maps and predictions of its rows, states of its slots. */
export function batchBytes({ image, out, head, rowBytes }: RowSizes, rows: number, slots: number): number {
  const compact = rowBytes + 4 * (image + out + head);
  return rows * compact + slots * 4 * (image * (2 + HISTORY) + out + head);
}

/**
 * Finds the rows and slots that fit into a budget: reduces slots first, then rows.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` if not even `least` rows fit.
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
 * Finds the largest number of rows, at most `rows`, that fits into a budget.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` if no row fits.
 */
export function largestWithin(sizes: RowSizes, rows: number, budget: number): number {
  return withinBudget(sizes, { rows, slots: rows, least: 1 }, budget).rows;
}

export const noCounts: BatchCounts = {
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

/** Adds up the counts of two batches. */
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

/** Batches of a model, one for every network (a second output makes another network), opened when first needed. */
export class Batches {
  readonly #options: NativeBatchOptions;
  readonly #opening = new Map<RunNetwork, Promise<NativeRequestBatch>>();
  readonly #open: NativeRequestBatch[] = [];
  /** Counts of the batches that were closed. */
  #closed: BatchCounts | null = null;

  constructor(options: NativeBatchOptions) {
    this.#options = options;
  }

  /** Gives the batch of a network. */
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

  /** Number of bytes that all batches have allocated. */
  get bytes(): number {
    return this.#open.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Counts of all batches together. */
  stats(): BatchCounts {
    if (this.#closed !== null) return this.#closed;
    return this.#open.map((batch) => batch.stats()).reduce(bothCounts, noCounts);
  }

  /** Closes all batches, those still being opened included. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#opening.values());
    await Promise.all(
      opened.map(async (batch) => {
        if (batch.status === 'fulfilled') await nativeWork(() => batch.value.close());
      }),
    );
    this.#closed = this.stats();
    // Closed batches would keep their networks in memory.
    this.#open.length = 0;
    this.#opening.clear();
  }
}
