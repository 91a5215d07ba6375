import { DpmError } from '../base/errors.js';
import type { NativeGivenConstant, NativeGraph, NativeWeight, TensorPlace } from '../engine/native-graph.js';
import { nativePath } from '../files/paths.js';
import { type TensorEntry } from '../files/safetensors.js';
import type { Graph } from '../network/graph.js';

/** Tensor of a checkpoint: its file and, if it is picked from a larger one, its place in that. */
export type CheckpointEntry = TensorEntry & {
  file: number;
  view?: NativeWeight['view'];
  /** Tensor of the checkpoint that a canonical weight belongs to. */
  source?: TensorPlace;
};

/** Tensors of one or more files, by their names in the files. */
export interface Checkpoint {
  files: string[];
  tensors: Map<string, CheckpointEntry>;
}

/**
 * Renames tensors by `rename`.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_UNUSED` if two tensors get the same name.
 */
export function renameTensors(checkpoint: Checkpoint, rename: (name: string) => string): Checkpoint {
  const tensors: Checkpoint['tensors'] = new Map();
  for (const [name, entry] of checkpoint.tensors) {
    const canonical = rename(name);
    if (tensors.has(canonical)) {
      const file = checkpoint.files[entry.file] ?? '';
      throw new DpmError(
        'ERR_DPM_TENSOR_UNUSED',
        `${file}: '${name}' is an old name of '${canonical}', which is there too`,
      );
    }
    tensors.set(canonical, entry);
  }
  return { files: checkpoint.files, tensors };
}

/** Merges two checkpoints, the names of the second with a prefix. */
export function mergeCheckpoints(base: Checkpoint, extra: Checkpoint, prefix: string): Checkpoint {
  const tensors: Checkpoint['tensors'] = new Map(base.tensors);
  for (const [name, entry] of extra.tensors) {
    tensors.set(`${prefix}.${name}`, { ...entry, file: entry.file + base.files.length });
  }
  return { files: [...base.files, ...extra.files], tensors };
}

/**
 * Makes a graph with its weights as they lie in a checkpoint, for the engine.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_DTYPE` naming the tensor.
 */
export function nativeGraph({ values, nodes, constants }: Graph, checkpoint: Checkpoint): NativeGraph {
  const weights = constants.map(({ name, shape: given, values: known }): NativeWeight | NativeGivenConstant => {
    if (known !== undefined) return { name, shape: given, values: known };
    const entry = checkpoint.tensors.get(name);
    if (entry === undefined)
      throw new DpmError('ERR_DPM_TENSOR_MISSING', `${checkpoint.files.join(', ')}: no tensor '${name}'`);
    const { file, dtype, shape, offset, bytes, view, source } = entry;
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
      throw new DpmError(
        'ERR_DPM_TENSOR_DTYPE',
        `${checkpoint.files[file] ?? ''}: tensor '${name}' is ${dtype}, weights have to be F32, F16 or BF16${dtype === 'F64' ? '; dpm convert makes them so' : ''}`,
      );
    }
    return { name, file, dtype, shape, offset, bytes, view, source };
  });
  return { values, nodes, constants: weights, files: checkpoint.files.map(nativePath) };
}
