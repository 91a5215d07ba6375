import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';

/** Finds the index of the first element that is infinite or not a number; -1 if there is none. */
function firstWrong(values: ArrayLike<number>): number {
  // A loop works on values that only look like an array and have no methods.
  for (let i = 0; i < values.length; ++i) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/**
 * Checks numbers that a caller gives.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the first number that is not finite.
 */
export function requireFinite(name: string, values: Float32Array): void {
  const wrong = firstWrong(values);
  if (wrong < 0) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${name} is ${at(values, wrong)} at element ${wrong}, it has to be finite`);
}

/**
 * Checks the final states of a run, so that no caller gets images of values that are not finite.
 *
 * @throws {@link DpmError} `ERR_DPM_NOT_FINITE` naming the sample.
 */
export function requireFiniteStates(states: Float32Array | Uint8Array, elements: number): void {
  if (!(states instanceof Float32Array)) return;
  const wrong = firstWrong(states);
  if (wrong < 0) return;
  throw new DpmError(
    'ERR_DPM_NOT_FINITE',
    `sample ${Math.floor(wrong / elements)} ended as ${at(states, wrong)}: its states have grown without bound`,
  );
}
