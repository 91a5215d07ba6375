import { elementCount } from '../../base/arrays.js';
import { dtypeBytes, type Dtype } from '../../files/safetensors.js';

/** A run of bytes of the file that tensors share. */
export class PytorchStorage {
  /** Offset in the file in bytes; set when the storage has been found. */
  private start = Number.NaN;

  /**
   * @param key - Name in the file
   * @param dtype - Type of its elements; null for one that counts bytes and leaves the dtype to its tensors
   * @param elements - Number of its elements
   * @param part - Its place, if it is part of another storage (files of PyTorch before 1.0)
   */
  constructor(
    readonly key: string,
    readonly dtype: Dtype | null,
    readonly elements: number,
    private readonly part?: { of: PytorchStorage; firstElement: number },
  ) {}

  /** Size of one element in bytes. */
  get elementBytes(): number {
    return this.dtype === null ? 1 : dtypeBytes[this.dtype];
  }

  /** Size of all elements in bytes. */
  get bytes(): number {
    return this.elements * this.elementBytes;
  }

  /** Offset in the file of its first element, in bytes; NaN before {@link place}. */
  get position(): number {
    return this.part === undefined
      ? this.start
      : this.part.of.position + this.part.firstElement * this.part.of.elementBytes;
  }

  /** Sets the byte of the file at which it begins. */
  place(position: number): void {
    this.start = position;
  }
}

/** Tensor of a PyTorch file: the place of its values, none of which has been read. */
export class PytorchTensor {
  /**
   * Checked by the caller: every element lies inside the storage.
   *
   * @param storage - Storage of its elements, with their lowest byte first
   * @param dtype - Type of its elements
   * @param shape - Sizes, at most 8, none for a scalar
   * @param stride - Number of elements from one to the next along each axis, as many as sizes
   * @param firstElement - Index of the first element in the storage
   */
  constructor(
    readonly storage: PytorchStorage,
    readonly dtype: Dtype,
    readonly shape: number[],
    readonly stride: number[],
    readonly firstElement: number,
  ) {}

  /** Offset in the file of the first element, in bytes; may be odd. */
  get offset(): number {
    return this.storage.position + this.firstElement * dtypeBytes[this.dtype];
  }

  /** Size of its values in bytes, which can be more than the storage has if an axis is expanded. */
  get bytes(): number {
    return elementCount(this.shape) * dtypeBytes[this.dtype];
  }

  /** True if its values lie in the file in C order without gaps. */
  get isContiguous(): boolean {
    let expected = 1;
    for (let axis = this.shape.length - 1; axis >= 0; --axis) {
      const size = this.shape[axis] ?? 1;
      if (size === 0) return true;
      if (size !== 1 && this.stride[axis] !== expected) return false;
      expected *= size;
    }
    return true;
  }

  /** Number of elements of the storage from its first to its last, both included. */
  get span(): number {
    if (this.shape.includes(0)) return 0;
    return this.shape.reduce((last, size, axis) => last + (size - 1) * (this.stride[axis] ?? 0), 0) + 1;
  }
}
