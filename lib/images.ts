import { elementCount } from './arrays.js';

/** A batch of images in model space, [-1, 1]. */
export class ImageBatch {
  /** Values in model space, row-major. */
  readonly data: Float32Array;
  /** [N, C, H, W]. */
  readonly shape: readonly [count: number, channels: number, height: number, width: number];

  constructor(data: Float32Array, shape: readonly [number, number, number, number]) {
    this.data = data;
    this.shape = shape;
  }

  /** Grey levels 0..255, rounded to the nearest, [N, C, H, W]. */
  toUint8(): Uint8Array {
    const levels = new Uint8Array(elementCount(this.shape));
    this.data.forEach((value, i) => {
      levels[i] = Math.min(Math.max(127.5 * (value + 1), 0), 255) + 0.5;
    });
    return levels;
  }
}
