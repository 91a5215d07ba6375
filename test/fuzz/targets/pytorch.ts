// PyTorch files: a pickle in a zip archive, or pickles one behind the other.
import { openWeights } from '../../../lib/checkpoint/weight-files.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(() => openWeights(fileOf(data, 'a.pt')));
}
