// Pictures of a data set, a part at a time.
import { elementCount } from '../../../dist/base/arrays.js';
import { readExactly, withFile } from '../../../dist/files/files.js';
import { readSafetensorsHeader } from '../../../dist/files/safetensors.js';

/** Pictures read at once. */
const BLOCK = 1000;

/**
 * Reads pictures of a file with the tensor `images`, U8 [N, C, H, W].
 *
 * @param range - Number of the first picture, and of pictures; default all of them.
 * @returns {AsyncGenerator<{ levels: Uint8Array, shape: number[] }>}
 */
export async function* picturesOf(path, { first = 0, count } = {}) {
  const { shape, offset, dtype } = (await readSafetensorsHeader(path)).tensors.get('images') ?? {};
  if (dtype !== 'U8') throw new Error(`${path}: images have to be U8`);
  const [all, ...sides] = shape;
  const elements = elementCount(sides);
  const end = count === undefined ? all : first + count;
  if (end > all) throw new Error(`${path} has ${all} pictures, ${end} are asked for`);
  for (let from = first; from < end; from += BLOCK) {
    const rows = Math.min(BLOCK, end - from);
    const levels = await withFile(path, (file) => readExactly(file, path, offset + from * elements, rows * elements));
    yield { levels, shape: [rows, ...sides] };
  }
}
