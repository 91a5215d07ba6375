import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { elementCount } from '../base/arrays.js';
import { throwIfAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import type { OptionFact } from '../base/option-facts.js';
import { oneOf } from '../base/option-kinds.js';
import { fileError, isThere, makeFolder, readExactly, withFile, writeAtomically } from '../files/files.js';
import { dtypeLimits, encodeFloats, floatsOf, gather } from '../files/floats.js';
import { dtypeBytes } from '../files/safetensors.js';
import { safetensorsHeader } from '../files/tensor-data.js';
import type { Checkpoint, CheckpointEntry } from './checkpoint.js';
import type { ModelFolder } from './model-folder.js';
import { requireMatchingWeights } from './weight-report.js';

export const weightTypes = ['f32', 'f16', 'bf16'] as const;

/** Type of converted weights. */
export type WeightType = (typeof weightTypes)[number];

/** Facts about the option `dtype` of {@link convertModel}. */
export const weightTypeFact = {
  kind: oneOf(weightTypes),
  help: `type of the weights: ${weightTypes.join(', ')}`,
  standard: 'f32',
  value: 'TYPE',
} as const satisfies OptionFact;

/** Names of the types in files. */
export const storedTypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/** Options of a conversion. */
export interface ConvertOptions {
  dtype?: WeightType | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Result of a conversion: the network's weights, with a head that lies in their file; of a pipeline those of all parts. */
export interface Converted {
  tensors: number;
  parameters: number;
  /** Size of the weights in bytes. */
  bytes: number;
}

function requireFloats(dtype: CheckpointEntry['dtype'], path: string, name: string): void {
  if (dtype in dtypeLimits || dtype === 'F64') return;
  throw new DpmError(
    'ERR_DPM_TENSOR_DTYPE',
    `${path}: tensor '${name}' is ${dtype}, weights have to be F64, F32, F16 or BF16`,
  );
}

/**
 * Reads a tensor's bytes in another type, in C order; the same type is copied to the bit.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_DTYPE` for a tensor of no floats, or of one that the type cannot hold.
 */
export async function convertedBytes(
  path: string,
  name: string,
  entry: CheckpointEntry,
  type: WeightType,
): Promise<Uint8Array> {
  const { dtype, offset, bytes, view, shape } = entry;
  requireFloats(dtype, path, name);
  const stored = await withFile(path, (file) => readExactly(file, path, offset, bytes));
  if (view === undefined && dtype === storedTypes[type]) return stored;
  const values = floatsOf(dtype, stored, bytes / dtypeBytes[dtype]);
  const ordered =
    view === undefined ? values.subarray(0, elementCount(shape)) : gather(values, view.dims, view.strides);
  const limit = dtypeLimits[storedTypes[type]];
  const large = ordered.find((value) => Math.abs(value) >= limit && Number.isFinite(value));
  if (large !== undefined) {
    throw new DpmError(
      'ERR_DPM_TENSOR_DTYPE',
      `${path}: tensor '${name}' holds ${large}, which is more than ${type} can hold; convert to another type`,
    );
  }
  return encodeFloats(ordered, storedTypes[type]);
}

/** Writes a safetensors file one tensor at a time. */
export async function writeWeights(
  path: string,
  { files, tensors }: Checkpoint,
  type: WeightType,
  signal: AbortSignal | undefined,
  onTensor: () => void,
): Promise<void> {
  const entries = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const header = safetensorsHeader(
    entries.map(([name, { shape }]) => ({
      name,
      dtype: storedTypes[type],
      shape,
      bytes: elementCount(shape) * dtypeBytes[storedTypes[type]],
    })),
    { format: 'pt' },
  );
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield* header;
    for (const [name, entry] of entries) {
      throwIfAborted(signal);
      yield await convertedBytes(files[entry.file] ?? '', name, entry, type);
      onTensor();
    }
  }
  await writeAtomically(path, parts());
}

/** Makes the folders above one that must not exist; returns the outermost that was not there before. */
async function makeParents(folder: string): Promise<string | undefined> {
  if (await isThere(folder)) throw new DpmError('ERR_DPM_FILE', `cannot make the folder ${folder}: it exists`);
  return makeFolder(dirname(folder));
}

async function removeParents(folder: string, outermost: string | undefined): Promise<void> {
  if (outermost === undefined) return;
  for (let parent = dirname(folder); parent.startsWith(outermost); parent = dirname(parent)) {
    await rmdir(parent).catch(() => undefined);
  }
}

/**
 * Writes a new folder whole or not at all.
 *
 * @param write - Fills the folder that it is given, which takes the name of the new one when it is done.
 * @throws {@link DpmError} `ERR_DPM_FILE` if the folder exists or writing fails; what `write` throws.
 */
export async function writeWhole(to: string, write: (folder: string) => Promise<void>): Promise<void> {
  const target = resolve(to);
  const made = await makeParents(target);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await write(temporary);
    await rename(temporary, target);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    await removeParents(target, made);
    throw fileError('write', to, cause);
  }
}

/** Checks that the weights, those of heads included, fit the configuration. */
async function requireWhole(model: ModelFolder): Promise<void> {
  for (const head of [null, ...model.heads]) {
    const { checkpoint, report } = await model.select(head);
    requireMatchingWeights(report, checkpoint);
  }
}

async function writeFolder(folder: string, model: ModelFolder, write: (path: string) => Promise<void>): Promise<void> {
  const { config, family, layout, companions } = model;
  const inner = join(folder, layout.network);
  await makeFolder(inner);
  const { family: _, ...own } = config;
  const written = layout.namesFamily ? { family, ...own } : own;
  await writeAtomically(join(inner, 'config.json'), [JSON.stringify(written, null, 2) + '\n']);
  for (const [companion, source] of companions) {
    await makeFolder(dirname(join(folder, companion)));
    await copyFile(source, join(folder, companion));
  }
  const scheduler = join('scheduler', 'scheduler_config.json');
  if (layout.scheduler !== null && !companions.has(scheduler)) {
    await mkdir(join(folder, 'scheduler'));
    await writeAtomically(join(folder, scheduler), [JSON.stringify(layout.scheduler, null, 2) + '\n']);
  }
  await write(join(inner, `${layout.weights}.safetensors`));
}

/**
 * Writes a model as a folder with safetensors: in the diffusers layout for its networks, for another family its configuration
 * and weights under its own names, without the wrappers and the rest of a training checkpoint. Weights of the type asked for
 * are copied to the bit, and every tensor becomes contiguous.
 *
 * @param to - New folder, which must not exist; it is written whole or not at all.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_*` if the weights do not fit the configuration or the type, `ERR_DPM_FILE` if
 * writing fails, `ERR_DPM_ABORTED` if aborted.
 */
export async function convertModel(
  model: ModelFolder,
  to: string,
  { dtype = weightTypeFact.standard, signal, onProgress }: ConvertOptions = {},
): Promise<Converted> {
  await requireWhole(model);
  const { tensors } = model.weights;
  let done = 0;
  await writeWhole(to, (folder) =>
    writeFolder(folder, model, (path) =>
      writeWeights(path, model.weights, dtype, signal, () => onProgress?.(++done, tensors.size)),
    ),
  );
  const parameters = [...tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { tensors: tensors.size, parameters, bytes: parameters * dtypeBytes[storedTypes[dtype]] };
}
