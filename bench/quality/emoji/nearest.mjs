// The pictures of a data set that are most like others, by the squared difference of pixels.
import { picturesOf } from './pictures.mjs';

function squaredDistance(a, b, limit) {
  let sum = 0;
  for (let i = 0; i < a.length; ++i) {
    sum += (a[i] - b[i]) ** 2;
    // Most pictures are told from others by their first rows.
    if ((i & 1023) === 1023 && sum >= limit) return Infinity;
  }
  return sum;
}

/**
 * Finds, for each picture, the nearest one of a file of images.
 *
 * @param {Uint8Array} levels - Pictures [count, ...] of the sides of the data's.
 * @param {string} path - File with the tensor `images`, U8 [N, C, H, W].
 * @returns {Promise<{ levels: Uint8Array, meanSquares: number[] }>} The nearest pictures, and how far they are.
 */
export async function nearestPictures(levels, count, path) {
  const elements = levels.length / count;
  const found = Array.from({ length: count }, () => ({ distance: Infinity, levels: null }));
  for await (const { levels: block, shape } of picturesOf(path)) {
    if (block.length !== shape[0] * elements) throw new Error(`${path}: images have to be of ${elements} elements`);
    for (let row = 0; row < shape[0]; ++row) {
      const own = block.subarray(row * elements, (row + 1) * elements);
      found.forEach((best, i) => {
        const distance = squaredDistance(levels.subarray(i * elements, (i + 1) * elements), own, best.distance);
        if (distance < best.distance) found[i] = { distance, levels: own.slice() };
      });
    }
  }
  const all = new Uint8Array(count * elements);
  found.forEach((best, i) => all.set(best.levels, i * elements));
  return { levels: all, meanSquares: found.map(({ distance }) => distance / elements) };
}
