import { elementCount } from '../../base/arrays.js';
import { dtypeBytes, type Dtype } from '../../files/safetensors.js';

/** A run of bytes of the file that tensors share. */
export class PytorchStorage {
  /** Absolute byte offset in the file; set when the storage has been found. */
  private start = Number.NaN;

  /**
   * @param key - its name in the file
   * @param dtype - type of its elements; null for one that counts bytes and leaves the dtype to its tensors
   * @param elements - how many it has
   * @param part - where it lies, if it is part of another storage (files of PyTorch before 1.0)
   */
  constructor(
    readonly key: string,
    readonly dtype: Dtype | null,
    readonly elements: number,
    private readonly part?: { of: PytorchStorage; firstElement: number },
  ) {}

  /** Bytes of one element. */
  get elementBytes(): number {
    return this.dtype === null ? 1 : dtypeBytes[this.dtype];
  }

  /** Bytes of all elements. */
  get bytes(): number {
    return this.elements * this.elementBytes;
  }

  /** Absolute byte offset in the file of its first element; NaN before {@link place}. */
  get position(): number {
    return this.part === undefined
      ? this.start
      : this.part.of.position + this.part.firstElement * this.part.of.elementBytes;
  }

  /** Says at which byte of the file it begins. */
  place(position: number): void {
    this.start = position;
  }
}

/** A tensor of a PyTorch file: where its values lie. Nothing of them has been read. */
export class PytorchTensor {
  /**
   * Every element lies inside the storage, which the caller has checked.
   *
   * @param storage - where its elements lie, with their lowest byte first
   * @param dtype - type of its elements
   * @param shape - sizes, at most 8, none for a scalar
   * @param stride - elements from one to the next along each axis, as many as sizes
   * @param firstElement - index of the first element in the storage
   */
  constructor(
    readonly storage: PytorchStorage,
    readonly dtype: Dtype,
    readonly shape: number[],
    readonly stride: number[],
    readonly firstElement: number,
  ) {}

  /** Absolute byte offset in the file of the first element; may be odd. */
  get offset(): number {
    return this.storage.position + this.firstElement * dtypeBytes[this.dtype];
  }

  /** Bytes of its values in a row, which can be more than the storage has if an axis is expanded. */
  get bytes(): number {
    return elementCount(this.shape) * dtypeBytes[this.dtype];
  }

  /** Whether its values lie in the file in C order without gaps. */
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

  /** Elements of the storage from its first to its last, both included. */
  get span(): number {
    if (this.shape.includes(0)) return 0;
    return this.shape.reduce((last, size, axis) => last + (size - 1) * (this.stride[axis] ?? 0), 0) + 1;
  }
}
