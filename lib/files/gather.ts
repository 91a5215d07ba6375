import { elementCount } from '../base/arrays.js';

/** Copies elements at `stride` into C order. */
export function gather(source: Float32Array, shape: readonly number[], stride: readonly number[]): Float32Array {
  const result = new Float32Array(elementCount(shape));
  const inner = shape.at(-1) ?? 1;
  const innerStride = stride.at(-1) ?? 0;
  const index = shape.slice(0, -1).fill(0);
  let start = 0;
  for (let done = 0; done < result.length;) {
    for (let i = 0; i < inner; ++i) result[done++] = source[start + i * innerStride] ?? Number.NaN;
    for (let axis = index.length - 1; axis >= 0; --axis) {
      const next = (index[axis] ?? 0) + 1;
      const step = stride[axis] ?? 0;
      if (next < (shape[axis] ?? 1)) {
        index[axis] = next;
        start += step;
        break;
      }
      index[axis] = 0;
      start -= (next - 1) * step;
    }
  }
  return result;
}
