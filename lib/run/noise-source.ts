import { DpmError } from '../base/errors.js';
import { isFloat32Array } from '../base/option-kinds.js';
import { requireFinite } from './finite.js';

/** Explicit noise: one array [R, count, …], or R arrays [count, …]; slice r serves the r-th record that adds noise. */
export type NoiseOption = Float32Array | readonly Float32Array[];

/**
 * Copies explicit noise into one array of a known number of slices; later changes of the caller's arrays have no
 * effect.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for slices of another size, `ERR_DPM_ARGUMENT` for numbers not
 * finite.
 */
export function flattenNoise(noise: NoiseOption, sliceElements: number): Float32Array {
  const whole = isFloat32Array(noise);
  const slices = whole ? [noise] : noise;
  const total = slices.reduce((sum, slice) => sum + slice.length, 0);
  const misfit = whole ? total % sliceElements !== 0 : slices.some((slice) => slice.length !== sliceElements);
  if (misfit) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `noise has to consist of slices of ${sliceElements} elements, one per record that adds noise`,
    );
  }
  for (const slice of slices) requireFinite('noise', slice);
  const flat = new Float32Array(total);
  slices.forEach((slice, index) => {
    flat.set(slice, index * sliceElements);
  });
  return flat;
}

/** Checks that explicit noise covers a program that adds noise `needed` times. */
export function requireSlices(noise: Float32Array, sliceElements: number, needed: number): void {
  const given = noise.length / sliceElements;
  if (given < needed) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `noise has ${given} slices, the program adds noise ${needed} times`);
  }
}

/** Hands out explicit noise slice by slice. */
export class NoiseSource {
  #next = 0;

  constructor(
    private readonly flat: Float32Array,
    private readonly count: number,
    private readonly elements: number,
  ) {}

  /** Returns the next slice, restricted to `batch` samples from `firstSample`. */
  next(firstSample: number, batch: number): Float32Array {
    const start = (this.#next++ * this.count + firstSample) * this.elements;
    const end = start + batch * this.elements;
    if (end > this.flat.length) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `noise has fewer slices than the program draws (${this.#next} so far)`,
      );
    }
    return this.flat.subarray(start, end);
  }

  restart(): void {
    this.#next = 0;
  }
}
