// Arrays of NumPy in a zip archive, as images to train with.
import { readNpz } from '../../../lib/training/data/npz.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(async () => {
    const { images, labels, shape } = await readNpz(fileOf(data, 'a.npz'));
    const elements = shape.reduce((product, size) => product * size, 1);
    if (images.length !== elements) throw new Error(`${images.length} elements of [${shape.join(', ')}]`);
    if (labels !== null && labels.length !== shape[0]) throw new Error(`${labels.length} labels of ${shape[0]} images`);
  });
}
