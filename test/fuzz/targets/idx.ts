// IDX files of images and of labels, packed by gzip if the first byte is odd.
import { readIdx } from '../../../lib/training/data/idx.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const name = ((data[0] ?? 0) & 1) === 1 ? 'a-images-idx3-ubyte.gz' : 'b-images-idx3-ubyte';
  const images = fileOf(data.subarray(1), name);
  fileOf(data.subarray(1), name.replace('images-idx3', 'labels-idx1'));
  await takenOrRefused(async () => {
    const { images: levels, shape } = await readIdx(images);
    const elements = shape.reduce((product, size) => product * size, 1);
    if (levels.length !== elements) throw new Error(`${levels.length} levels of [${shape.join(', ')}]`);
  });
}
