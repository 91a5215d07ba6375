import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { either, kinds } from '../base/option-kinds.js';

/** Kind of a time: one for all samples, or one each. */
export const networkTimes = either(kinds.finite, kinds.numbers);

/**
 * Counts the samples in states of so many elements.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if they are no whole samples.
 */
export function checkedBatch(elements: number, perSample: number): number {
  const batch = elements / perSample;
  if (Number.isInteger(batch) && batch >= 1) return batch;
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `x has ${elements} elements, a sample has ${perSample}`);
}

/**
 * Expands the time to one for every sample.
 *
 * @param t - Time of the kind {@link networkTimes}.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for another number of times, or times not finite.
 */
export function checkedTimes(t: number | ArrayLike<number>, batch: number): Float32Array {
  if (typeof t !== 'number' && t.length !== batch) {
    throw new DpmError('ERR_DPM_ARGUMENT', `t has ${t.length} times for ${batch} samples`);
  }
  const given: readonly unknown[] = typeof t === 'number' ? [t] : Array.from(t);
  const wrong = given.findIndex((time) => typeof time !== 'number' || !Number.isFinite(Math.fround(time)));
  if (wrong >= 0) throw wrongValue(`t[${wrong}]`, given[wrong], 'a finite number');
  return typeof t === 'number' ? new Float32Array(batch).fill(t) : Float32Array.from(t);
}

/**
 * Checks class labels and returns them in the engine's form.
 *
 * @param classes - Number of classes of the network; 0: it takes none.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for labels that are missing, too many or outside the classes.
 */
export function checkedLabels(
  classes: number,
  classLabels: ArrayLike<number> | undefined,
  batch: number,
): Int32Array | null {
  if (classLabels === undefined) {
    if (classes > 0) throw new DpmError('ERR_DPM_ARGUMENT', `the network has ${classes} classes: give classLabels`);
    return null;
  }
  if (classes === 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'the network is not class-conditional: leave the classes (classLabels) out');
  }
  if (classLabels.length !== batch) {
    throw new DpmError('ERR_DPM_ARGUMENT', `classLabels has ${classLabels.length} labels for ${batch} samples`);
  }
  for (const label of Array.from<unknown>(classLabels)) {
    if (typeof label !== 'number' || !Number.isInteger(label) || label < 0 || label >= classes) {
      throw wrongValue('a class label', label, `an integer from 0 to ${classes - 1}`);
    }
  }
  return Int32Array.from(classLabels);
}
