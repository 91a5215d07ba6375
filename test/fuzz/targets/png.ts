// Pictures, of the sides that they say and of others.
import { readPng, shapeOfPng } from '../../../lib/images/read-png.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const path = fileOf(data, 'a.png');
  await takenOrRefused(async () => {
    const shape = await shapeOfPng(path);
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements > 2 ** 20) return;
    const levels = await readPng(path, shape);
    const wrong = levels.find((level) => !(level >= 0 && level <= 255));
    if (levels.length !== elements || wrong !== undefined) throw new Error(`${levels.length} levels, one is ${wrong}`);
  });
  await takenOrRefused(() => readPng(path, [1, 2, 3]));
}
