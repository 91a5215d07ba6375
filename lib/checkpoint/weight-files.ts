import { dirname, extname, join } from 'node:path';

import { listNames } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { shownValue } from '../base/text.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { isThere, readJson } from '../files/files.js';
import { readSafetensorsHeader, type TensorEntry } from '../files/safetensors.js';
import type { Checkpoint, CheckpointEntry } from './checkpoint.js';
import { pytorchCheckpoint, readPytorchFile, tensorsOf } from './pytorch/index.js';
import { openPytorchWeights, type FoundWeights } from './state-dicts.js';

/** Opens one safetensors file as a checkpoint. */
export async function openSingleFile(path: string): Promise<Checkpoint> {
  const { tensors } = await readSafetensorsHeader(path);
  return { files: [path], tensors: new Map([...tensors].map(([name, entry]) => [name, { ...entry, file: 0 }])) };
}

function shardName(path: string, tensor: string, file: unknown): string {
  if (typeof file !== 'string' || !/^[\w.-]+\.(safetensors|bin)$/.test(file) || file.includes('..')) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${path}: tensor '${tensor}' is mapped to ${shownValue(file)}, it has to be the plain name of a .safetensors or .bin file in the same folder`,
    );
  }
  return file;
}

async function shardTensors(
  path: string,
): Promise<ReadonlyMap<string, TensorEntry & { view?: CheckpointEntry['view'] }>> {
  if (!path.endsWith('.bin')) return (await readSafetensorsHeader(path)).tensors;
  const file = await readPytorchFile(path);
  return pytorchCheckpoint(file, tensorsOf(file).tensors).tensors;
}

/** A sharded checkpoint from its `.safetensors.index.json` or `.bin.index.json`. */
async function openSharded(path: string): Promise<Checkpoint> {
  const index = await readJson(path);
  const map = isJsonObject(index) ? new ConfigReader(index, path).raw('weight_map') : undefined;
  if (!isJsonObject(map)) throw new DpmError('ERR_DPM_CONFIG', `${path}: weight_map is missing or not an object`);
  const wanted = new Map(Object.entries(map).map(([name, file]) => [name, shardName(path, name, file)]));
  const shards = [...new Set(wanted.values())].sort();
  const checkpoint: Checkpoint = { files: shards.map((shard) => join(dirname(path), shard)), tensors: new Map() };
  for (const [file, shard] of shards.entries()) {
    const tensors = await shardTensors(join(dirname(path), shard));
    for (const [name, entry] of tensors) {
      if (wanted.get(name) !== shard) {
        throw new DpmError(
          'ERR_DPM_TENSOR_UNUSED',
          `${join(dirname(path), shard)}: tensor '${name}' is not listed for this file in ${path}`,
        );
      }
      checkpoint.tensors.set(name, { ...entry, file });
    }
  }
  const missing = [...wanted.keys()].filter((name) => !checkpoint.tensors.has(name));
  if (missing.length > 0) {
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path} lists tensors its files do not hold: ${listNames(missing)}`);
  }
  return checkpoint;
}

/**
 * Finds the weights `stem.safetensors` or `stem.bin` in a folder, or the shards of an index of either.
 *
 * @param stems - Names without ending, the preferred one first.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming all if none exists.
 */
export async function findWeights(folder: string, ...stems: readonly [string, ...string[]]): Promise<string> {
  const forms = ['.safetensors', '.safetensors.index.json', '.bin', '.bin.index.json'];
  // Variants of diffusers: weights in half precision may be all that was downloaded.
  const endings = [...forms, ...forms.map((form) => `.fp16${form}`), '.safetensors.index.fp16.json'];
  for (const stem of stems) {
    for (const ending of endings) {
      const path = join(folder, `${stem}${ending}`);
      if (await isThere(path)) return path;
    }
  }
  throw new DpmError(
    'ERR_DPM_FILE',
    `cannot open the weights: ${join(folder, stems[0])} exists with none of ${endings.join(', ')}`,
  );
}

const pytorchExtensions = ['.pth', '.pt', '.bin', '.ckpt', '.pkl'];

/** Tells whether a file is one of PyTorch, by its name. */
export function isPytorchPath(path: string): boolean {
  return pytorchExtensions.includes(extname(path));
}

/**
 * Opens the weights of a safetensors file, of a PyTorch file, or of the shards that an index lists.
 *
 * @throws {@link DpmError} naming the file and the error.
 */
export async function openWeights(path: string): Promise<FoundWeights> {
  if (path.endsWith('.index.json')) return { checkpoint: await openSharded(path), place: '' };
  if (isPytorchPath(path)) return openPytorchWeights(path);
  return { checkpoint: await openSingleFile(path), place: '' };
}
