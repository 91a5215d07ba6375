import { elementCount, listNames } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { gather } from '../../files/floats.js';
import { dtypeBytes } from '../../files/safetensors.js';
import { readFloats } from '../../files/tensor-data.js';
import type { Checkpoint } from '../checkpoint.js';
import type { PytorchFile } from './pytorch-file.js';
import { PytorchTensor } from './tensor.js';
import { describe, type PickleKey, type PickleValue } from './values.js';

/** The way from the root of a file to a value: keys of dictionaries and indices of lists. */
export type PicklePath = readonly (string | number)[];

/** Tensors of one dictionary or list, not of those inside it. */
export interface StateDict {
  /** Tensors by key, in the order of the file; those of a list by their index. */
  tensors: Map<string, PytorchTensor>;
  /** Names of entries that are no tensors, in the order of the file. */
  skipped: string[];
}

/** Maximum number of dimensions of a strided view. */
const MAX_VIEW_RANK = 4;

type Entry = readonly [PickleKey, PickleValue];

function entriesOf(value: PickleValue): Entry[] | undefined {
  if (value instanceof Map) return [...value];
  return Array.isArray(value) ? [...value.entries()] : undefined;
}

function step(value: PickleValue, key: string | number): PickleValue | undefined {
  if (value instanceof Map) return value.get(key);
  return Array.isArray(value) && typeof key === 'number' ? value[key] : undefined;
}

function shownPath(path: PicklePath): string {
  return path.length === 0 ? 'the root' : path.map((key) => JSON.stringify(key)).join(' > ');
}

/**
 * The value at a path of keys and indices.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` listing the keys there are.
 */
export function valueAt(file: PytorchFile, path: PicklePath): PickleValue {
  let value = file.root;
  for (const [depth, key] of path.entries()) {
    const next = step(value, key);
    if (next === undefined) {
      const keys = entriesOf(value)?.map(([each]) => String(each));
      throw new DpmError(
        'ERR_DPM_TENSOR_MISSING',
        `${file.path}: ${shownPath(path.slice(0, depth))} has no entry ${JSON.stringify(key)}; it ${keys === undefined ? `is ${describe(value)}` : `has: ${listNames(keys) || 'none'}`}`,
      );
    }
    value = next;
  }
  return value;
}

/**
 * Finds the tensors of the dictionary (or list) at `path`, by name, in the order of the file.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` if nothing is there or it is neither, `ERR_DPM_UNSUPPORTED` if two
 * keys have one name (1 and '1').
 */
export function tensorsOf(file: PytorchFile, path: PicklePath = []): StateDict {
  const value = valueAt(file, path);
  const entries = entriesOf(value);
  if (entries === undefined) {
    throw new DpmError(
      'ERR_DPM_TENSOR_MISSING',
      `${file.path}: ${shownPath(path)} is ${describe(value)}, not a dictionary of tensors`,
    );
  }
  const result: StateDict = { tensors: new Map(), skipped: [] };
  for (const [key, entry] of entries) {
    const name = String(key);
    if (!(entry instanceof PytorchTensor)) result.skipped.push(name);
    else if (result.tensors.has(name)) {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `${file.path}: two keys of ${shownPath(path)} are called '${name}'`);
    } else result.tensors.set(name, entry);
  }
  return result;
}

/**
 * Makes a checkpoint of the tensors of a PyTorch file, whose weights the engine maps out of the file.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming a tensor of many dimensions whose values do not lie in C order.
 */
export function pytorchCheckpoint(file: PytorchFile, tensors: ReadonlyMap<string, PytorchTensor>): Checkpoint {
  const checkpoint: Checkpoint = { files: [file.path], tensors: new Map() };
  for (const [name, tensor] of tensors) {
    const { dtype, shape, stride, offset, bytes, span } = tensor;
    const entry = { dtype, shape: [...shape], offset, file: 0 };
    if (tensor.isContiguous) checkpoint.tensors.set(name, { ...entry, bytes });
    else if (shape.length <= MAX_VIEW_RANK) {
      const view = { dims: [...shape], strides: [...stride] };
      checkpoint.tensors.set(name, { ...entry, bytes: span * dtypeBytes[dtype], view });
    } else {
      throw new DpmError(
        'ERR_DPM_UNSUPPORTED',
        `${file.path}: tensor '${name}' [${shape.join(', ')}] lies in the file with strides [${stride.join(', ')}], which more than ${MAX_VIEW_RANK} dimensions cannot`,
      );
    }
  }
  return checkpoint;
}

/** Maximum number of values of an expanded tensor beyond its storage's: axes of stride 0 cost a file nothing. */
const MAX_EXPANDED = 2 ** 28;

/**
 * Reads a tensor's values as float32 in C order, whatever its dtype and strides; rounded as by {@link readFloats}.
 *
 * @param name - Name for messages
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SIZE` for a tensor that expands a small storage without measure, `ERR_DPM_FILE`,
 * `ERR_DPM_FILE_TRUNCATED` if the file has become shorter.
 */
export async function readPytorchFloats(file: PytorchFile, name: string, tensor: PytorchTensor): Promise<Float32Array> {
  const { dtype, shape, stride, offset, span, storage } = tensor;
  const count = elementCount(shape);
  if (count > Math.max(MAX_EXPANDED, storage.elements)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SIZE',
      `${file.path}: tensor '${name}' [${shape.join(', ')}] makes ${count} values of a storage of ${storage.elements}`,
    );
  }
  if (count === 0) return new Float32Array(0);
  // Elements from the first to the last, as a vector.
  const run = { dtype, shape: [span], offset, bytes: span * dtypeBytes[dtype] };
  const { data } = await readFloats({ path: file.path, metadata: new Map(), tensors: new Map([[name, run]]) }, name);
  return tensor.isContiguous ? data : gather(data, shape, stride);
}
