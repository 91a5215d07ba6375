import { DpmError } from '../base/errors.js';
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

/** Keys under which training scripts keep averaged weights, and plain ones; averaged ones come first. */
const averagedKeys = ['ema_state_dict', 'model_ema', 'ema_model', 'ema', 'ema_models_states'];
const plainKeys = ['state_dict', 'model_state_dict', 'model', 'net', 'unet', 'params'];

/** Weights of a file, and their place in it. */
export interface FoundWeights {
  checkpoint: Checkpoint;
  /** Place, e.g. `ema > shadow_params` in a training checkpoint; empty: the file itself. */
  place: string;
}

/** A single number, such as a rate or a count of steps, makes no weights. */
function holdsTensors(value: PickleValue | undefined): boolean {
  if (!(value instanceof Map)) return false;
  return [...value.values()].some((each) => each instanceof PytorchTensor && each.shape.length > 0);
}

/** Finds `value` itself, or its only entry that holds tensors. */
function tensorsWithin(value: PickleValue | undefined): PicklePath | null {
  if (holdsTensors(value)) return [];
  if (!(value instanceof Map)) return null;
  const keys = [...value].flatMap(([key, entry]) => (typeof key === 'string' && holdsTensors(entry) ? [key] : []));
  return keys.length === 1 ? keys : null;
}

function isContainer(value: PickleValue | undefined): boolean {
  return value instanceof Map || Array.isArray(value);
}

/** Finds the way to the first of these entries; `undefined` if the file has none of them. */
function wayTo(root: PickleValue, keys: readonly string[]): PicklePath | undefined {
  if (!(root instanceof Map)) return undefined;
  for (const key of keys) {
    const inside = tensorsWithin(root.get(key));
    if (inside !== null) return [key, ...inside];
  }
  return undefined;
}

/** Refuses averaged weights that cannot be read, instead of the use of others. */
function refuseUnreadAverages({ root, path }: PytorchFile): void {
  if (!(root instanceof Map)) return;
  const unread = averagedKeys.find((key) => isContainer(root.get(key)));
  if (unread !== undefined) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path}: the averaged weights under ${unread} are in a form that is not known; save them as a dictionary of tensors`,
    );
  }
}

/** The way to the weights of a file: an entry of a training checkpoint, or the file itself. */
function findWeights(file: PytorchFile): PicklePath {
  const { root, path } = file;
  const averaged = wayTo(root, averagedKeys);
  if (averaged !== undefined) return averaged;
  refuseUnreadAverages(file);
  const plain = wayTo(root, plainKeys);
  if (plain !== undefined) return plain;
  if (holdsTensors(root)) return [];
  // Lists of DDIM's files have the averaged weights as their last dictionary of tensors.
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

/** Tells whether score_sde averages a tensor: all of the model's except those that are no parameters. */
function isParameter(name: string): boolean {
  return name !== 'sigmas' && name !== 'all_modules.0.W';
}

/**
 * Reads averaged weights as score_sde and torch_ema keep them: a list without names, in the order of the model's parameters;
 * all other tensors come from the model itself.
 */
function listedAverages(file: PytorchFile, plain: PicklePath): FoundWeights {
  const { tensors: model } = tensorsOf(file, plain);
  const { tensors: averaged } = tensorsOf(file, ['ema', 'shadow_params']);
  const shadows = [...averaged.values()];
  const unwrapped = (name: string): string => name.replace(/^module\./, '');
  let next = 0;
  const paired = new Map(
    [...model].map(([name, tensor]) => {
      if (!isParameter(unwrapped(name))) return [name, tensor];
      const shadow = shadows[next++];
      if (shadow?.shape.join() !== tensor.shape.join()) {
        throw new DpmError(
          'ERR_DPM_TENSOR_SHAPE',
          `${file.path}: ema > shadow_params > ${next - 1} does not have the shape of ${plain.join(' > ')} > ${name}`,
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
 * Finds the weights of a PyTorch file; the averaged ones of a training checkpoint, if any.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` if there are none, `ERR_DPM_UNSUPPORTED` if averaged ones have an unknown
 * form, and the errors of the reader of such files.
 */
export async function openPytorchWeights(path: string): Promise<FoundWeights> {
  const file = await readPytorchFile(path);
  const plain = wayTo(file.root, plainKeys);
  if (plain !== undefined && has(file.root, 'ema') && has(valueAt(file, ['ema']), 'shadow_params')) {
    return listedAverages(file, plain);
  }
  const place = findWeights(file);
  return { checkpoint: pytorchCheckpoint(file, tensorsOf(file, place).tensors), place: place.join(' > ') };
}
