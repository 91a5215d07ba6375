// Headers of safetensors files, and the tensors that they place.
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(async () => {
    const header = await readSafetensorsHeader(fileOf(data, 'a.safetensors'));
    let bytes = 0;
    for (const entry of header.tensors.values()) bytes += entry.bytes;
    if (bytes > data.length) throw new Error(`${bytes} bytes of tensors in a file of ${data.length}`);
    for (const name of [...header.tensors.keys()].slice(0, 4)) await takenOrRefused(() => readFloats(header, name));
  });
}
