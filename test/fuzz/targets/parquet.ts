// Parquet files of pictures: their footers, pages, and the pictures themselves.
import { readParquet } from '../../../lib/training/data/parquet/read-parquet.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const path = fileOf(data, 'a.parquet');
  for (const options of [{}, { skipBroken: true, labels: false }]) {
    await takenOrRefused(async () => {
      const { images, labels, shape } = await readParquet([path], options);
      const elements = shape.reduce((product, size) => product * size, 1);
      if (images.length !== elements) throw new Error(`${images.length} elements of [${shape.join(', ')}]`);
      if (labels !== null && labels.length !== shape[0])
        throw new Error(`${labels.length} labels of ${shape[0]} images`);
    });
  }
}
