import { at } from '../../base/arrays.js';

/** Kernel of a resampling and half its width, at the scale of the source or, downwards, of the target. */
interface Filter {
  readonly radius: number;
  weight(distance: number): number;
}

const box: Filter = { radius: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };

/** Keys' cubic (1981) with a = -1/2, that of Pillow. */
const cubic: Filter = {
  radius: 2,
  weight(x) {
    const d = Math.abs(x);
    if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
    return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
  },
};

/** Weights of one target pixel from source pixel `first` on. */
interface Taps {
  first: number;
  weights: number[];
}

/** Weights along one side, which sum to 1; downwards the kernel is as wide as a target pixel, as in Pillow. */
function tapsOf(from: number, to: number, filter: Filter): Taps[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - filter.radius * stretch + 0.5));
    const end = Math.min(from, Math.floor(centre + filter.radius * stretch + 0.5));
    const raw = Array.from({ length: end - first }, (__, k) => filter.weight((first + k + 0.5 - centre) / stretch));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: raw.map((weight) => weight / sum) };
  });
}

/** A map of one channel. */
interface Plane {
  readonly height: number;
  readonly width: number;
  readonly values: Float32Array;
}

function resampled({ height, width, values }: Plane, toHeight: number, toWidth: number, filter: Filter): Plane {
  const across = tapsOf(width, toWidth, filter);
  const rows = new Float32Array(height * toWidth);
  for (let y = 0; y < height; ++y) {
    across.forEach(({ first, weights }, x) => {
      let sum = 0;
      weights.forEach((weight, k) => (sum += weight * at(values, y * width + first + k)));
      rows[y * toWidth + x] = sum;
    });
  }
  const result = new Float32Array(toHeight * toWidth);
  tapsOf(height, toHeight, filter).forEach(({ first, weights }, y) => {
    for (let x = 0; x < toWidth; ++x) {
      let sum = 0;
      weights.forEach((weight, k) => (sum += weight * at(rows, (first + k) * toWidth + x)));
      result[y * toWidth + x] = sum;
    }
  });
  return { height: toHeight, width: toWidth, values: result };
}

function centre({ height, width, values }: Plane, toHeight: number, toWidth: number): Float32Array {
  const [top, left] = [Math.floor((height - toHeight) / 2), Math.floor((width - toWidth) / 2)];
  const result = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < toHeight; ++y) {
    const from = (top + y) * width + left;
    result.set(values.subarray(from, from + toWidth), y * toWidth);
  }
  return result;
}

/**
 * Brings an image to another size as guided-diffusion's image_datasets.py does: means of 2 x 2 while both sides are at least
 * twice the wanted ones, then a cubic to the size in which one side fits, then the middle. A cubic overshoots: values may
 * be beyond those of the source.
 *
 * @param values - [C, H, W] of `shape`.
 * @param size - Wanted height and width.
 */
export function resizedImage(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  [toHeight, toWidth]: readonly [number, number],
): Float32Array {
  const result = new Float32Array(channels * toHeight * toWidth);
  for (let channel = 0; channel < channels; ++channel) {
    let plane: Plane = {
      height,
      width,
      values: values.subarray(channel * height * width, (channel + 1) * height * width),
    };
    while (plane.height >= 2 * toHeight && plane.width >= 2 * toWidth) {
      plane = resampled(plane, Math.floor(plane.height / 2), Math.floor(plane.width / 2), box);
    }
    const scale = Math.max(toHeight / plane.height, toWidth / plane.width);
    const [scaledHeight, scaledWidth] = [
      Math.max(toHeight, Math.round(plane.height * scale)),
      Math.max(toWidth, Math.round(plane.width * scale)),
    ];
    if (scaledHeight !== plane.height || scaledWidth !== plane.width) {
      plane = resampled(plane, scaledHeight, scaledWidth, cubic);
    }
    result.set(centre(plane, toHeight, toWidth), channel * toHeight * toWidth);
  }
  return result;
}

/** Gives the level 0..255 that is nearest to a value. */
export function nearestLevel(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value)));
}
