import { at } from '../base/arrays.js';

/** Filter of resizing, by the distance to a pixel's centre: the triangle, or Keys' cubic with a = -1/2. */
export type Kernel = 'triangle' | 'cubic';

function weight(kernel: Kernel, distance: number): number {
  const x = Math.abs(distance);
  if (kernel === 'triangle') return Math.max(0, 1 - x);
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Makes the matrix [to][from] that resizes one axis of `from` pixels to `to`: anti-aliased, mirrored at borders. */
export function resizing(from: number, to: number, kernel: Kernel): Float64Array[] {
  const scale = to / from;
  const narrow = Math.min(scale, 1);
  const reach = (kernel === 'triangle' ? 1 : 2) / narrow;
  return Array.from({ length: to }, (_, o) => {
    const centre = (o + 0.5) / scale - 0.5;
    const row = new Float64Array(from);
    let sum = 0;
    for (let j = Math.ceil(centre - reach); j <= Math.floor(centre + reach); ++j) {
      const share = weight(kernel, (centre - j) * narrow);
      const place = ((j % (2 * from)) + 2 * from) % (2 * from);
      const pixel = place < from ? place : 2 * from - 1 - place;
      row[pixel] = at(row, pixel) + share;
      sum += share;
    }
    return row.map((share) => share / sum);
  });
}

function product(a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array[] {
  return a.map((row) =>
    Float64Array.from(at(b, 0), (_, j) => row.reduce((sum, value, k) => sum + value * at(at(b, k), j), 0)),
  );
}

function transposed(a: readonly Float64Array[]): Float64Array[] {
  return Array.from(at(a, 0), (_, j) => Float64Array.from(a, (row) => at(row, j)));
}

/** Makes the matrix [size][size] of one axis of a low-pass, down by `factor` and up again. */
export function lowPassAxis(size: number, factor: number, kernel: Kernel): Float64Array[] {
  const small = Math.max(1, Math.round(size / factor));
  return product(resizing(small, size, kernel), resizing(size, small, kernel));
}

/** Multiplies both axes of every map of `values` [..., H, W]: rows X columns^T. */
function separable(
  values: Float64Array,
  rows: readonly Float64Array[],
  columns: readonly Float64Array[],
): Float64Array {
  const [height, width] = [rows.length, columns.length];
  const half = new Float64Array(values.length);
  const whole = new Float64Array(values.length);
  for (let map = 0; map < values.length; map += height * width) {
    for (let y = 0; y < height; ++y) {
      for (let x = 0; x < width; ++x) {
        let sum = 0;
        for (let k = 0; k < width; ++k) sum += at(values, map + y * width + k) * at(at(columns, x), k);
        half[map + y * width + x] = sum;
      }
    }
    for (let y = 0; y < height; ++y) {
      for (let x = 0; x < width; ++x) {
        let sum = 0;
        for (let k = 0; k < height; ++k) sum += at(half, map + k * width + x) * at(at(rows, y), k);
        whole[map + y * width + x] = sum;
      }
    }
  }
  return whole;
}

/** Low-pass filter of images, and the gradient that brings low frequencies of images together. */
export class LowPass {
  readonly #rows: Float64Array[];
  readonly #columns: Float64Array[];
  readonly #ofRows: Float64Array[];
  readonly #ofColumns: Float64Array[];

  constructor(height: number, width: number, factor: number, kernel: Kernel) {
    this.#rows = lowPassAxis(height, factor, kernel);
    this.#columns = lowPassAxis(width, factor, kernel);
    this.#ofRows = product(transposed(this.#rows), this.#rows);
    this.#ofColumns = product(transposed(this.#columns), this.#columns);
  }

  /** Computes the low frequencies of images, [..., H, W]. */
  apply(images: ArrayLike<number>): Float64Array {
    return separable(Float64Array.from(images), this.#rows, this.#columns);
  }

  /** Computes the gradient by y of the squared distance of low frequencies, 2 R^T R (y - x) R^T R. */
  gradient(y: ArrayLike<number>, x: ArrayLike<number>): Float64Array {
    const difference = Float64Array.from({ length: y.length }, (_, i) => 2 * (at(y, i) - at(x, i)));
    return separable(difference, this.#ofRows, this.#ofColumns);
  }
}
