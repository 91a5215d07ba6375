import { pictureDefaults, type GridOptions } from './picture-options.js';

/** Shape [N, C, H, W] of a batch of images. */
export type ImageShape = readonly [count: number, channels: number, height: number, width: number];

/** Reorders levels [N, C, H, W] to channels of a pixel beside each other, [N, H, W, C]. */
export function interleaved(planes: Uint8Array, [count, channels, height, width]: ImageShape): Uint8Array {
  const pixels = height * width;
  const result = new Uint8Array(planes.length);
  for (let image = 0; image < count; ++image) {
    for (let channel = 0; channel < channels; ++channel) {
      const source = (image * channels + channel) * pixels;
      for (let pixel = 0; pixel < pixels; ++pixel) {
        result[(image * pixels + pixel) * channels + channel] = planes[source + pixel] ?? 0;
      }
    }
  }
  return result;
}

/** The columns and rows of a grid, and the size of all of it in pixels. */
export interface GridSize {
  columns: number;
  rows: number;
  width: number;
  height: number;
}

/** Maximum side of a picture, in pixels. */
export const MOST_SIDE = 65_535;

/** Computes the size of the grid of `count` images. */
export function gridSize([count, , height, width]: ImageShape, options: GridOptions): GridSize {
  const { columns, gap = pictureDefaults.gap } = options;
  const across = columns ?? Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / across);
  return {
    columns: across,
    rows,
    width: across * (width + gap) - gap,
    height: rows * (height + gap) - gap,
  };
}

/** Copies images [N, C, H, W] to their places in one image [C, H', W'] that is `background` between them. */
export function laidOut<T extends Float32Array | Uint8Array>(
  values: T,
  shape: ImageShape,
  options: GridOptions,
  canvas: T,
): T {
  const [count, channels, height, width] = shape;
  const { gap = pictureDefaults.gap } = options;
  const grid = gridSize(shape, options);
  for (let image = 0; image < count; ++image) {
    const left = (image % grid.columns) * (width + gap);
    const top = Math.floor(image / grid.columns) * (height + gap);
    for (let line = 0; line < channels * height; ++line) {
      const channel = Math.floor(line / height);
      const source = (image * channels * height + line) * width;
      const target = (channel * grid.height + top + (line % height)) * grid.width + left;
      canvas.set(values.subarray(source, source + width), target);
    }
  }
  return canvas;
}

/** Enlarges every pixel of levels [N, C, H, W] to a square of `scale` pixels. */
export function enlarged(levels: Uint8Array, [, , , width]: ImageShape, scale: number): Uint8Array {
  if (scale === 1) return levels;
  const result = new Uint8Array(levels.length * scale * scale);
  const wide = width * scale;
  const lines = levels.length / width;
  for (let line = 0; line < lines; ++line) {
    const first = line * scale * wide;
    for (let x = 0; x < wide; ++x) result[first + x] = levels[line * width + Math.floor(x / scale)] ?? 0;
    for (let copy = 1; copy < scale; ++copy) result.copyWithin(first + copy * wide, first, first + wide);
  }
  return result;
}
