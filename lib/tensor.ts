import { elementCount } from './arrays.js';
import type { Device } from './device.js';
import { DpmError, nativeWork, toDpmError } from './errors.js';
import type { NativeTensor } from './native.js';

/** A float32 tensor in a device's memory; made by `Device.tensor`. Released by {@link DeviceTensor.free} or when collected. */
export class DeviceTensor {
  /** Sizes, outermost first; row-major. */
  readonly shape: readonly number[];
  readonly device: Device;
  /** @internal */
  readonly native: NativeTensor;

  /** @internal */
  constructor(device: Device, shape: readonly number[]) {
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
      throw new DpmError('ERR_DPM_ARGUMENT', `shape [${shape.join(', ')}] has to consist of positive integers`);
    }
    this.shape = [...shape];
    this.device = device;
    try {
      this.native = device.engine.tensor(elementCount(shape));
    } catch (error) {
      throw toDpmError(error);
    }
  }

  get elements(): number {
    return this.native.elements;
  }

  /**
   * Copies values to the device.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` when `data` has another number of elements.
   */
  async write(data: Float32Array): Promise<void> {
    this.#checkLength(data);
    await nativeWork(() => this.device.engine.write(this.native, data));
  }

  /** Copies the values to `into`, by default a new array. */
  async read(into: Float32Array = new Float32Array(this.elements)): Promise<Float32Array> {
    this.#checkLength(into);
    await nativeWork(() => this.device.engine.read(this.native, into));
    return into;
  }

  free(): void {
    this.native.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }

  #checkLength(data: Float32Array): void {
    if (data.length !== this.elements) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `a tensor [${this.shape.join(', ')}] has ${this.elements} elements, the array ${data.length}`,
      );
    }
  }
}
