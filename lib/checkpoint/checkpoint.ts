import { DpmError } from '../base/errors.js';
import type {
  NativeAddition,
  NativeFactor,
  NativeGivenConstant,
  NativeGraph,
  NativeWeight,
  TensorPlace,
} from '../engine/native-graph.js';
import { nativePath } from '../files/paths.js';
import { type TensorEntry } from '../files/safetensors.js';
import type { Graph } from '../network/graph.js';

/** Factor of a {@link LowRankAddition} in its file. */
export type Factor = TensorEntry & { readonly name: string; readonly dtype: NativeFactor['dtype'] };

/** Product of factors in another file that is added to a tensor, as {@link NativeAddition}. */
export interface LowRankAddition {
  readonly path: string;
  readonly factor: number;
  readonly up: Factor;
  readonly mid: Factor | null;
  readonly down: Factor;
}

/** Tensor of a checkpoint: its file and, if it is picked from a larger one, its place in that. */
export type CheckpointEntry = TensorEntry & {
  file: number;
  view?: NativeWeight['view'];
  /** Tensor of the checkpoint that a canonical weight belongs to. */
  source?: TensorPlace;
  /** What is added to it when it is read. */
  additions?: readonly LowRankAddition[];
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

/** Files by their indices, those of the checkpoint first. */
class FileList {
  readonly #indices: Map<string, number>;

  constructor(files: readonly string[]) {
    this.#indices = new Map(files.map((path, index) => [path, index]));
    this.paths = [...files];
  }

  readonly paths: string[];

  indexOf(path: string): number {
    const index = this.#indices.get(path) ?? this.paths.push(path) - 1;
    this.#indices.set(path, index);
    return index;
  }
}

function nativeAddition({ path, factor, up, mid, down }: LowRankAddition, files: FileList): NativeAddition {
  const file = files.indexOf(path);
  return { factor, up: { ...up, file }, ...(mid !== null && { mid: { ...mid, file } }), down: { ...down, file } };
}

/**
 * Makes a graph with its weights as they lie in a checkpoint, for the engine.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_DTYPE` naming the tensor.
 */
export function nativeGraph({ values, nodes, constants }: Graph, checkpoint: Checkpoint): NativeGraph {
  const files = new FileList(checkpoint.files);
  const weights = constants.map(({ name, shape: given, values: known }): NativeWeight | NativeGivenConstant => {
    if (known !== undefined) return { name, shape: given, values: known };
    const entry = checkpoint.tensors.get(name);
    if (entry === undefined)
      throw new DpmError('ERR_DPM_TENSOR_MISSING', `${checkpoint.files.join(', ')}: no tensor '${name}'`);
    const { file, dtype, shape, offset, bytes, view, source, additions } = entry;
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
      throw new DpmError(
        'ERR_DPM_TENSOR_DTYPE',
        `${checkpoint.files[file] ?? ''}: tensor '${name}' is ${dtype}, weights have to be F32, F16 or BF16${dtype === 'F64' ? '; dpm convert makes them so' : ''}`,
      );
    }
    const added = additions?.map((addition) => nativeAddition(addition, files));
    return { name, file, dtype, shape, offset, bytes, view, source, ...(added && { additions: added }) };
  });
  return { values, nodes, constants: weights, files: files.paths.map(nativePath) };
}
