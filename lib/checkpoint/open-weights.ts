import { extname } from 'node:path';

import { openPytorchWeights, type FoundWeights } from './state-dicts.js';
import { openSharded, openSingleFile } from './weight-files.js';

const pytorchExtensions = ['.pth', '.pt', '.bin', '.ckpt', '.pkl'];

/**
 * The weights of a safetensors file, of a PyTorch file, or of the shards that an index lists.
 *
 * @throws {@link DpmError} naming the file and what is wrong with it.
 */
export async function openWeights(path: string): Promise<FoundWeights> {
  if (path.endsWith('.index.json')) return { checkpoint: await openSharded(path), place: '' };
  if (pytorchExtensions.includes(extname(path))) return openPytorchWeights(path);
  return { checkpoint: await openSingleFile(path), place: '' };
}
