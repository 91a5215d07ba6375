import { DpmError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import {
  pytorchCheckpoint,
  PytorchTensor,
  readPytorchFile,
  tensorsOf,
  valueAt,
  type PicklePath,
  type PickleValue,
  type PytorchFile,
} from './pytorch/index.js';

/** Where training scripts keep averaged weights, and plain ones, in a file; averaged ones come first. */
const averagedKeys = ['ema_state_dict', 'model_ema', 'ema_model', 'ema'];
const plainKeys = ['state_dict', 'model_state_dict', 'model', 'net', 'unet', 'params'];

/** Weights of a PyTorch file, and where in it they were found. */
export interface FoundWeights {
  checkpoint: Checkpoint;
  /** E.g. `ema > shadow_params`; empty: the file itself. */
  place: string;
}

function holdsTensors(value: PickleValue | undefined): boolean {
  return value instanceof Map && [...value.values()].some((each) => each instanceof PytorchTensor);
}

/** The way to the weights of a file: itself, or an entry of a training checkpoint. */
function findWeights(file: PytorchFile): PicklePath {
  const { root, path } = file;
  if (holdsTensors(root)) return [];
  if (root instanceof Map) {
    const key = [...averagedKeys, ...plainKeys].find((each) => holdsTensors(root.get(each)));
    if (key !== undefined) return [key];
  }
  // DDIM's files are lists whose last dictionary of tensors is the averaged one.
  if (Array.isArray(root)) {
    const index = root.findLastIndex(holdsTensors);
    if (index >= 0) return [index];
  }
  const known = [...averagedKeys, ...plainKeys].join(', ');
  throw new DpmError(
    'ERR_DPM_TENSOR_MISSING',
    `${path}: no weights are found, neither in the file itself nor under ${known}`,
  );
}

function has(value: PickleValue, key: string): boolean {
  return value instanceof Map && value.has(key);
}

/** Tensors of the list that score_sde averages: the model's, but for what is no parameter. */
function isParameter(name: string): boolean {
  return name !== 'sigmas' && name !== 'all_modules.0.W';
}

/**
 * Averaged weights of score_sde: a list without names, in the order of the model's parameters; what is no parameter comes from
 * the model itself.
 */
function scoreSdeWeights(file: PytorchFile): FoundWeights {
  const { tensors: model } = tensorsOf(file, ['model']);
  const { tensors: averaged } = tensorsOf(file, ['ema', 'shadow_params']);
  const shadows = [...averaged.values()];
  const plain = (name: string): string => name.replace(/^module\./, '');
  let next = 0;
  const paired = new Map(
    [...model].map(([name, tensor]) => {
      if (!isParameter(plain(name))) return [name, tensor];
      const shadow = shadows[next++];
      if (shadow?.shape.join() !== tensor.shape.join()) {
        throw new DpmError(
          'ERR_DPM_TENSOR_SHAPE',
          `${file.path}: ema > shadow_params > ${next - 1} does not have the shape of model > ${name}`,
        );
      }
      return [name, shadow];
    }),
  );
  if (next !== shadows.length) {
    throw new DpmError(
      'ERR_DPM_TENSOR_UNUSED',
      `${file.path}: ema holds ${shadows.length} tensors for ${next} parameters`,
    );
  }
  return { checkpoint: pytorchCheckpoint(file, paired), place: 'ema > shadow_params' };
}

/**
 * The weights of a PyTorch file; of a training checkpoint the averaged ones where it holds such.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` when there are none, and as the reader of such files.
 */
export async function openPytorchWeights(path: string): Promise<FoundWeights> {
  const file = await readPytorchFile(path);
  if (has(file.root, 'ema') && has(file.root, 'model') && has(valueAt(file, ['ema']), 'shadow_params')) {
    return scoreSdeWeights(file);
  }
  const place = findWeights(file);
  return { checkpoint: pytorchCheckpoint(file, tensorsOf(file, place).tensors), place: place.join(' > ') };
}
