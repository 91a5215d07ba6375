// Arrays of NumPy in a zip archive, as images to train with.
import { crc32 } from 'node:zlib';

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

/** Makes the sums of members right that are not compressed. */
export function repaired(data: Buffer): Buffer {
  const bytes = Buffer.from(data);
  for (
    let at = bytes.indexOf('PK\x01\x02');
    at >= 0 && at + 46 <= bytes.length;
    at = bytes.indexOf('PK\x01\x02', at + 1)
  ) {
    const [size, local] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 42)];
    if (bytes.readUInt16LE(at + 10) !== 0 || local + 30 > bytes.length) continue;
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const sum = crc32(bytes.subarray(start, start + size));
    bytes.writeUInt32LE(sum, at + 16);
    bytes.writeUInt32LE(sum, local + 14);
  }
  return bytes;
}
