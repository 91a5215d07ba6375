import { elementCount } from './arrays.js';
import { centredRange, levelsPerUnit, valueOfLevel, type PixelRange } from './pixel-range.js';

/** A batch of images in model space. */
export class ImageBatch {
  /** [N, C, H, W]. */
  readonly shape: readonly [count: number, channels: number, height: number, width: number];
  /** The values of black and white in {@link ImageBatch.data}. */
  readonly range: PixelRange;
  #data: Float32Array | undefined;
  readonly #levels: Uint8Array | undefined;

  /**
   * @param values - In model space, or grey levels 0..255; row-major.
   * @param range - The values of black and white in model space.
   */
  constructor(
    values: Float32Array | Uint8Array,
    shape: readonly [number, number, number, number],
    range: PixelRange = centredRange,
  ) {
    this.shape = shape;
    this.range = range;
    if (values instanceof Float32Array) this.#data = values;
    else this.#levels = values;
  }

  /** Values in model space, row-major. Of a batch that came as grey levels there are 256 different ones. */
  get data(): Float32Array {
    this.#data ??= Float32Array.from(this.#levels ?? [], (level) => valueOfLevel(level, this.range));
    return this.#data;
  }

  /** Grey levels 0..255, rounded to the nearest, [N, C, H, W]. */
  toUint8(): Uint8Array {
    if (this.#levels !== undefined) return this.#levels.slice();
    const levels = new Uint8Array(elementCount(this.shape));
    const scale = levelsPerUnit(this.range);
    const [black] = this.range;
    this.data.forEach((value, i) => {
      levels[i] = Math.min(Math.max(scale * (value - black), 0), 255) + 0.5;
    });
    return levels;
  }
}
