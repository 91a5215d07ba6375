// The pictures of a data set that are most like others, by the squared difference of pixels.
import { open } from 'node:fs/promises';

import { readSafetensorsHeader } from '../../../dist/files/safetensors.js';

/** Pictures of the data read at once. */
const BLOCK = 1000;

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
 * @returns {Promise<{ levels: Uint8Array, indices: number[], meanSquares: number[] }>} The nearest pictures, and how far they are.
 */
export async function nearestPictures(levels, count, path) {
  const elements = levels.length / count;
  const { tensors } = await readSafetensorsHeader(path);
  const { shape, offset, dtype } = tensors.get('images');
  if (dtype !== 'U8' || shape.slice(1).reduce((a, b) => a * b) !== elements) {
    throw new Error(`${path}: images have to be U8 of ${elements} elements`);
  }
  const found = Array.from({ length: count }, () => ({ index: -1, distance: Infinity, levels: null }));
  const file = await open(path);
  try {
    const block = new Uint8Array(BLOCK * elements);
    for (let first = 0; first < shape[0]; first += BLOCK) {
      const rows = Math.min(BLOCK, shape[0] - first);
      await file.read(block, 0, rows * elements, offset + first * elements);
      for (let row = 0; row < rows; ++row) {
        const own = block.subarray(row * elements, (row + 1) * elements);
        found.forEach((best, i) => {
          const distance = squaredDistance(levels.subarray(i * elements, (i + 1) * elements), own, best.distance);
          if (distance < best.distance) found[i] = { index: first + row, distance, levels: own.slice() };
        });
      }
    }
  } finally {
    await file.close();
  }
  const all = new Uint8Array(count * elements);
  found.forEach((best, i) => all.set(best.levels, i * elements));
  return {
    levels: all,
    indices: found.map(({ index }) => index),
    meanSquares: found.map(({ distance }) => distance / elements),
  };
}
