import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { WeightTensors } from '../../engine/checkpoint-tensors.js';
import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import { fileError, readJson } from '../../files/files.js';
import { readSafetensorsHeader } from '../../files/safetensors.js';
import { readFloats, safetensorsParts } from '../../files/tensor-data.js';
import type { Disk } from './disk.js';

/** Every part of a {@link TrainingTensors}, and the name of its file. */
const parts = {
  parameters: 'parameters.safetensors',
  firstMoments: 'first_moments.safetensors',
  secondMoments: 'second_moments.safetensors',
  average: 'average.safetensors',
} as const;

/** Numbers that training goes on with, each by the names of the network's weights. */
export type TrainingTensors = { readonly [Part in keyof typeof parts]: WeightTensors };

const partNames = Object.keys(parts) as (keyof typeof parts)[];

const stateName = 'state.json';
const FORMAT = 1;
const MOST_STEPS = Number.MAX_SAFE_INTEGER;

/** A checkpoint. */
export interface TrainingCheckpoint {
  /** Number of steps done. */
  readonly step: number;
  readonly tensors: TrainingTensors;
  /** Whatever else training goes on with, as JSON. */
  readonly progress: Readonly<Record<string, unknown>>;
}

/** What is known of a file, to tell later whether it is whole. */
interface FileMark {
  bytes: number;
  sha256: string;
}

/** Gives the bytes of a file of tensors, which share their memory. */
export function partsOf(tensors: WeightTensors): Uint8Array[] {
  return safetensorsParts(tensors, { format: 'pt' });
}

function markOf(bytes: readonly Uint8Array[]): FileMark {
  const hash = createHash('sha256');
  for (const part of bytes) hash.update(part);
  return { bytes: bytes.reduce((sum, { length }) => sum + length, 0), sha256: hash.digest('hex') };
}

/** Writes the files of a checkpoint into an empty folder; `state.json` is the last. */
export async function writeCheckpointFiles(folder: string, checkpoint: TrainingCheckpoint, disk: Disk): Promise<void> {
  const { step, tensors, progress } = checkpoint;
  const files: Record<string, FileMark> = {};
  for (const part of partNames) {
    const bytes = partsOf(tensors[part]);
    files[parts[part]] = markOf(bytes);
    await disk.write(join(folder, parts[part]), bytes);
  }
  const state = { format: FORMAT, step, progress, files };
  await disk.write(join(folder, stateName), [`${JSON.stringify(state, null, 2)}\n`]);
}

function parseMark(source: string, files: Record<string, unknown>, name: string): FileMark {
  const raw = files[name];
  if (!isJsonObject(raw)) throw new DpmError('ERR_DPM_CONFIG', `${source}: files has no ${name}`);
  const mark = new ConfigReader(raw, `${source}: files: ${name}`);
  return { bytes: mark.integer('bytes', undefined, { least: 8, most: MOST_STEPS }), sha256: mark.string('sha256') };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) hash.update(part);
  return hash.digest('hex');
}

/** Tells whether a file holds these bytes. */
export async function holds(path: string, bytes: readonly Uint8Array[]): Promise<boolean> {
  const mark = markOf(bytes);
  const found = await stat(path).catch(() => undefined);
  return found?.size === mark.bytes && (await hashOf(path)) === mark.sha256;
}

/** Refuses a file that is not what was written, before any of it is read into memory. */
async function requireWhole(path: string, { bytes, sha256 }: FileMark): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw fileError('open', path, cause);
  });
  if (!found.isFile() || found.size !== bytes) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${found.size} bytes, ${bytes} were written`);
  }
  if ((await hashOf(path)) !== sha256) {
    throw new DpmError('ERR_DPM_FILE', `${path} is not what was written: its SHA-256 is another one`);
  }
}

async function readTensors(path: string): Promise<WeightTensors> {
  const header = await readSafetensorsHeader(path);
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const name of header.tensors.keys()) {
    const { shape, data } = await readFloats(header, name, ['F32']);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/**
 * Reads a checkpoint that is whole: every file is compared with the size and the hash that were noted as it was written.
 *
 * @throws {@link DpmError} naming the file that is missing, damaged or of another format.
 */
export async function readCheckpointFiles(folder: string): Promise<TrainingCheckpoint> {
  const source = join(folder, stateName);
  const json = await readJson(source);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source} is not a JSON object`);
  const config = new ConfigReader(json, source);
  const format = config.integer('format', undefined, { least: 1, most: MOST_STEPS });
  if (format !== FORMAT) throw config.unsupported('format', String(FORMAT));
  const step = config.integer('step', undefined, { least: 0, most: MOST_STEPS });
  const [progress, files] = [config.raw('progress'), config.raw('files')];
  if (!isJsonObject(progress)) throw config.error('progress', 'an object');
  if (!isJsonObject(files)) throw config.error('files', 'an object');
  const tensors: Partial<Record<keyof typeof parts, WeightTensors>> = {};
  for (const part of partNames) {
    const path = join(folder, parts[part]);
    await requireWhole(path, parseMark(source, files, parts[part]));
    tensors[part] = await readTensors(path);
  }
  return { step, progress, tensors: tensors as TrainingTensors };
}

/**
 * Refuses tensors whose data do not fit their shapes, which a file would hold as something else.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the tensor.
 */
export function requireTensors(tensors: TrainingTensors): void {
  for (const part of partNames) {
    for (const [name, { shape, data }] of tensors[part]) {
      if (elementCount(shape) === data.length) continue;
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `${part}: tensor '${name}' of [${shape.join(', ')}] has ${data.length} elements`,
      );
    }
  }
}
