import { DpmError, toDpmError } from '../base/errors.js';
import type { NativeTensorLike } from './binding.js';
import { DeviceTensor } from './device.js';
import type { TensorLike } from './evaluation.js';

/** Arrays and tensors held for work, as the caller may change or free them once the call has returned. */
export class Held implements Disposable {
  readonly #shared: { free(): void }[] = [];

  /**
   * Copies an array, or takes another hold on a tensor's memory.
   *
   * @throws {@link DpmError} `ERR_DPM_CLOSED` for a tensor that was freed.
   */
  input(tensor: TensorLike): NativeTensorLike {
    return tensor instanceof DeviceTensor ? this.output(tensor) : new Float32Array(tensor);
  }

  /** Returns the caller's array, or takes another hold on a tensor. @throws The errors of {@link Held.input}. */
  output(tensor: TensorLike): NativeTensorLike {
    if (!(tensor instanceof DeviceTensor)) return tensor;
    try {
      const shared = tensor.native.share();
      this.#shared.push(shared);
      return shared;
    } catch (error) {
      throw toDpmError(error);
    }
  }

  [Symbol.dispose](): void {
    for (const shared of this.#shared) shared.free();
  }
}

function overlap(one: TensorLike, other: TensorLike): boolean {
  if (one instanceof DeviceTensor || other instanceof DeviceTensor) return one === other;
  return (
    one.buffer === other.buffer &&
    one.byteOffset < other.byteOffset + other.byteLength &&
    other.byteOffset < one.byteOffset + one.byteLength
  );
}

/**
 * Refuses results that would overwrite one another, and results on a device that would overwrite inputs.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming both.
 */
export function requireApart(
  inputs: Readonly<Record<string, TensorLike | null>>,
  outputs: Readonly<Record<string, TensorLike | null>>,
): void {
  // Arrays are copied before anything is written.
  const read = Object.entries(inputs).filter(([, tensor]) => tensor instanceof DeviceTensor);
  const written = Object.entries(outputs);
  written.forEach(([name, tensor], i) => {
    for (const [other, theirs] of [...read, ...written.slice(0, i)]) {
      if (tensor !== null && theirs !== null && overlap(tensor, theirs)) {
        throw new DpmError('ERR_DPM_ARGUMENT', `${name} and ${other} lie in the same memory`);
      }
    }
  });
}
