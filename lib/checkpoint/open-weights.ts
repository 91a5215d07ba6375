import { extname } from 'node:path';

import { openSharded, openSingleFile, type Checkpoint } from './checkpoint.js';
import { openPytorchWeights } from './state-dicts.js';

/** Weights of a file, and where in it they were found. */
export interface OpenedWeights {
  checkpoint: Checkpoint;
  /** E.g. `ema > shadow_params` in a training checkpoint; empty: the file itself. */
  place: string;
}

const pytorchExtensions = ['.pth', '.pt', '.bin', '.ckpt', '.pkl'];

/**
 * The weights of a safetensors file, of a PyTorch file, or of the shards that an index lists.
 *
 * @throws {@link DpmError} naming the file and what is wrong with it.
 */
export async function openWeights(path: string): Promise<OpenedWeights> {
  if (path.endsWith('.index.json')) return { checkpoint: await openSharded(path), place: '' };
  if (pytorchExtensions.includes(extname(path))) return openPytorchWeights(path);
  return { checkpoint: await openSingleFile(path), place: '' };
}
