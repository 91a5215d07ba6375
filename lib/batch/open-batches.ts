import { at } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import type { RunNetwork } from '../run/resolve.js';
import { Admission } from './admission.js';
import { Batches, largestWithin, withinBudget, type RowSizes } from './batches.js';
import { Beside } from './beside.js';
import { bestRate, chooseRows, measureCurve, measureUpTo, type Curve, type Measure } from './calibrate.js';
import { batcherDefaults, type BatcherOptions } from './options.js';

/** Capacity of a batch. */
export interface BatcherCapacity {
  /** Number of rows of a full step. */
  readonly rows: number;
  /** Number of samples that have a state. */
  readonly slots: number;
  /** Number of rows per second of full steps. */
  readonly rowsPerSecond: number;
  /** Milliseconds of a step by its rows, as measured when the batch was opened. */
  readonly curve: Curve;
}

/** Maximum number of rows for `rows: 'auto'`. */
const MOST_ROWS = 128;

/** Network whose steps are measured. */
export interface MeasuredNetwork {
  readonly network: RunNetwork;
  /** Sizes of the network without a second output. */
  readonly sizes: RowSizes;
  /** Number of rows that a step has to have room for. */
  readonly least: number;
  /** What is known of its steps; null: they are measured. */
  readonly known?: Curve | null;
}

/**
 * Measures a network and allocates the memory of its batch.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for fewer slots than rows, `ERR_DPM_OUT_OF_MEMORY`.
 */
export async function openBatches(
  { network, sizes, least, known = null }: MeasuredNetwork,
  options: BatcherOptions,
): Promise<{ batches: Batches; capacity: BatcherCapacity }> {
  const { rows = batcherDefaults.rows, stepTarget = batcherDefaults.stepTarget, memoryBudget = Infinity } = options;
  const { weight = batcherDefaults.weight, sizes: treatment = batcherDefaults.sizes } = options;
  const measure: Measure = async (batch, repeats) =>
    at(await nativeWork(() => network.native.measure(Uint32Array.of(batch), repeats)), 0);
  const most = largestWithin(sizes, rows === 'auto' ? MOST_ROWS : rows, memoryBudget);
  const measured = (): Promise<Curve> =>
    rows === 'auto' ? measureCurve(measure, { stepTarget, most, least }) : measureUpTo(measure, Math.min(rows, most));
  const curve = known ?? (await measured());
  const wanted = rows === 'auto' ? chooseRows(curve, stepTarget, least) : rows;
  const slots = options.slots ?? Math.max(16, 4 * wanted);
  if (slots < wanted) {
    throw new DpmError('ERR_DPM_ARGUMENT', `slots is ${slots}, it has to be at least rows, ${wanted}`);
  }
  const fitting = withinBudget(sizes, { rows: wanted, slots, least: Math.min(least, wanted) }, memoryBudget);
  // On other devices bits never depend on the batch.
  const whole = treatment === 'one' && !['cpu', 'reference'].includes(network.device.name);
  const batches = new Batches({ ...fitting, fit: treatment === 'fit', whole, weight });
  await batches.of(network);
  const usable = curve.filter((point) => point.rows <= fitting.rows);
  return { batches, capacity: { ...fitting, rowsPerSecond: 1000 * bestRate(usable), curve } };
}

/** Makes the admission that options of a batcher ask for. */
export function admissionBy(options: BatcherOptions): Admission {
  const { order = batcherDefaults.order, stretch = batcherDefaults.stretch } = options;
  const { maxWait = batcherDefaults.maxWait, maxWork = batcherDefaults.maxWork } = options;
  const { maxWaitingBytes = batcherDefaults.maxWaitingBytes } = options;
  return new Admission({ order, stretch }, { maxWait, maxWork, maxWaitingBytes });
}

/** Makes what runs programs beside the batch, as options of a batcher ask for. */
export function besideBy(options: BatcherOptions, { refused }: Admission): Beside {
  const { hostPrograms = batcherDefaults.hostPrograms, maxWait = batcherDefaults.maxWait } = options;
  return new Beside(hostPrograms, maxWait, refused);
}
