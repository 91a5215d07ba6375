import { join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { isThere } from '../files/files.js';
import { mergeCheckpoints, type Checkpoint } from './checkpoint.js';
import type { DiffusersConfig } from './diffusers-config.js';
import { openSingleFile } from './weight-files.js';

/** File beside a network that takes vectors for labels: its tensor `weight` has one row per label, [labels, D]. */
const vectorsFile = 'class_embedding.safetensors';

/** A network's configuration and weights with the vectors its labels stand for. */
export interface WithClassVectors {
  config: DiffusersConfig;
  checkpoint: Checkpoint;
  /** File of the vectors; null if the network holds all that it needs. */
  file: string | null;
}

/**
 * Adds the vectors that the labels of a network of `class_embed_type: identity` stand for, which its own weights do not hold:
 * they become its table of class embeddings.
 *
 * @param folder - Folder of the network.
 * @throws {@link DpmError} `ERR_DPM_FILE` or `ERR_DPM_TENSOR_*` naming the file if it does not exist or holds no such tensor.
 */
export async function addClassVectors(
  config: DiffusersConfig,
  checkpoint: Checkpoint,
  folder: string,
): Promise<WithClassVectors> {
  if (config.classEmbedding !== 'given') return { config, checkpoint, file: null };
  const file = join(folder, vectorsFile);
  if (!(await isThere(file))) {
    throw new DpmError(
      'ERR_DPM_FILE',
      `cannot open ${file}: class_embed_type is identity, the tensor 'weight' of that file has to say the vector of every label`,
    );
  }
  const vectors = await openSingleFile(file);
  const classes = vectors.tensors.get('weight')?.shape[0] ?? 0;
  if (classes === 0) {
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${file} holds no tensor 'weight' with a row for every label`);
  }
  return {
    config: { ...config, classes, classEmbedding: 'row' },
    checkpoint: mergeCheckpoints(checkpoint, vectors, 'class_embedding'),
    file,
  };
}
