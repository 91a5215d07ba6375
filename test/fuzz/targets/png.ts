// Pictures, of the sides that they say and of others.
import { crc32 } from 'node:zlib';

import { readPng, shapeOfPngBytes } from '../../../lib/images/read-png.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const path = fileOf(data, 'a.png');
  await takenOrRefused(async () => {
    const shape = shapeOfPngBytes(path, data);
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements > 2 ** 20) return;
    const levels = await readPng(path, shape);
    const wrong = levels.find((level) => !(level >= 0 && level <= 255));
    if (levels.length !== elements || wrong !== undefined) throw new Error(`${levels.length} levels, one is ${wrong}`);
  });
  await takenOrRefused(() => readPng(path, [1, 2, 3]));
}

/** Makes the sums of chunks right. */
export function repaired(data: Buffer): Buffer {
  const bytes = Buffer.from(data);
  for (let at = 8; at + 12 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at);
    if (end + 4 > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), end);
    at = end + 4;
  }
  return bytes;
}
