// Pictures in JPEG, of the sides that they say and of others.
import { JpegCodec } from '../../../lib/images/jpeg/codec.js';
import { readJpegBytes, shapeOfJpegBytes } from '../../../lib/images/jpeg/read-jpeg.js';
import { takenOrRefused } from '../refused.js';

const codec = new JpegCodec();

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(async () => {
    const shape = shapeOfJpegBytes('a.jpg', data);
    const elements = shape.reduce((product, size) => product * size, 1);
    const levels = await readJpegBytes('a.jpg', data, shape, codec);
    const wrong = levels.find((level) => !(level >= 0 && level <= 255));
    if (levels.length !== elements || wrong !== undefined) throw new Error(`${levels.length} levels, one is ${wrong}`);
  });
  await takenOrRefused(() => readJpegBytes('a.jpg', data, [1, 2, 3], codec));
}
