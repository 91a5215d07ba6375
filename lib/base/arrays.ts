import { DpmError } from './errors.js';

/** Returns element `index` of `values`; an index outside is an error of this package, not of its caller. */
export function at<T>(values: ArrayLike<T>, index: number): T {
  const value = values[index];
  if (value === undefined) {
    throw new DpmError('ERR_DPM_INTERNAL', `index ${index} is outside an array of ${values.length}`);
  }
  return value;
}

/** Product of the sizes of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Copies so many elements of each of `samples` equal parts of an array, from `offset` of the part on. */
export function partOfEach(values: Float32Array, samples: number, offset: number, elements: number): Float32Array {
  const each = values.length / samples;
  const result = new Float32Array(samples * elements);
  for (let n = 0; n < samples; ++n) {
    const from = n * each + offset;
    result.set(values.subarray(from, from + elements), n * elements);
  }
  return result;
}

/** Copies the given ones of the parts of so many elements of an array, one after the other. */
export function partsAt(values: Float32Array, parts: readonly number[], elements: number): Float32Array {
  const result = new Float32Array(parts.length * elements);
  for (const [i, part] of parts.entries()) {
    result.set(values.subarray(part * elements, (part + 1) * elements), i * elements);
  }
  return result;
}

/** Puts the rows of arrays of as many rows side by side: row 0 of each, then row 1 of each. */
export function sideBySide(rows: number, arrays: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (let row = 0; row < rows; ++row) {
    for (const array of arrays) {
      const part = array.subarray((row * array.length) / rows, ((row + 1) * array.length) / rows);
      result.set(part, end);
      end += part.length;
    }
  }
  return result;
}

/** Joins at most `limit` names by commas, then tells how many more there are. */
export function listNames(names: readonly string[], limit = 8): string {
  const shown = names.slice(0, limit).join(', ');
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown;
}

/** Puts numbers one behind the other. */
export function joined<T extends Float32Array | Uint8Array>(make: new (length: number) => T, parts: readonly T[]): T {
  const all = new make(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    all.set(part, end);
    end += part.length;
  }
  return all;
}
