import { elementCount } from './arrays.js';

/** A batch of images in model space, [-1, 1]. */
export class ImageBatch {
  /** [N, C, H, W]. */
  readonly shape: readonly [count: number, channels: number, height: number, width: number];
  #data: Float32Array | undefined;
  readonly #levels: Uint8Array | undefined;

  /** From values in model space or from grey levels 0..255, row-major. */
  constructor(values: Float32Array | Uint8Array, shape: readonly [number, number, number, number]) {
    this.shape = shape;
    if (values instanceof Float32Array) this.#data = values;
    else this.#levels = values;
  }

  /** Values in model space, row-major. Of a batch that came as grey levels there are 256 different ones. */
  get data(): Float32Array {
    this.#data ??= Float32Array.from(this.#levels ?? [], (level) => level / 127.5 - 1);
    return this.#data;
  }

  /** Grey levels 0..255, rounded to the nearest, [N, C, H, W]. */
  toUint8(): Uint8Array {
    if (this.#levels !== undefined) return this.#levels.slice();
    const levels = new Uint8Array(elementCount(this.shape));
    this.data.forEach((value, i) => {
      levels[i] = Math.min(Math.max(127.5 * (value + 1), 0), 255) + 0.5;
    });
    return levels;
  }
}
