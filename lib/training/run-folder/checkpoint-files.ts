import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { TensorSources } from '../../engine/checkpoint-tensors.js';
import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import { fileError, readJson } from '../../files/files.js';
import { floatsOf } from '../../files/floats.js';
import { readSafetensorsHeader, readTensorBytes, type SafetensorsHeader } from '../../files/safetensors.js';
import { readFloats, safetensorsHeader } from '../../files/tensor-data.js';
import type { Disk } from './disk.js';

/** Every part of a checkpoint, and the name of its file. */
const parts = {
  parameters: 'parameters.safetensors',
  firstMoments: 'first_moments.safetensors',
  secondMoments: 'second_moments.safetensors',
  average: 'average.safetensors',
} as const;

/** Numbers that training goes on with: one of four parts, by the names of the network's weights. */
export type TrainingPart = keyof typeof parts;

/** Every {@link TrainingPart}, in the order in which they are written. */
export const trainingParts = Object.keys(parts) as TrainingPart[];

/** File of the losses that noise levels are drawn by, where they are. */
const levelLossesName = 'level_losses.safetensors';
const levelLossesTensor = 'losses';
const stateName = 'state.json';
const FORMAT = 1;
const MOST_STEPS = Number.MAX_SAFE_INTEGER;

/** A checkpoint to be written. */
export interface TrainingCheckpoint {
  /** Number of steps done. */
  readonly step: number;
  /** Whatever else training goes on with, as JSON. */
  readonly progress: Readonly<Record<string, unknown>>;
  /** Gives a part when it is written, so that one at a time is in memory. */
  readonly part: (name: TrainingPart) => TensorSources | Promise<TensorSources>;
  /** Losses that noise levels are drawn by; absent where they are drawn evenly. */
  readonly levelLosses?: Float32Array | undefined;
}

/** A checkpoint in its folder, whose files are what was written. */
export interface WholeCheckpoint extends Omit<TrainingCheckpoint, 'part' | 'levelLosses'> {
  /** Finds the tensors of a part; their numbers are read when they are asked for. */
  readonly part: (name: TrainingPart) => TensorSources;
  /** Reads the losses that noise levels are drawn by; null where there are none. */
  readonly levelLosses: () => Promise<Float32Array | null>;
  /** File of the weights. */
  readonly weights: string;
}

/** What is known of a file, to tell later whether it is whole. */
interface FileMark {
  bytes: number;
  sha256: string;
}

/**
 * Gives the bytes of a file of tensors, one tensor after the other.
 *
 * @param what - Name of the tensors in messages.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming a tensor whose data do not fit its shape, which the file would hold as
 * something else.
 */
export async function* bytesOf(tensors: TensorSources, what: string): AsyncGenerator<Uint8Array, void, void> {
  const ordered = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries = ordered.map(([name, { shape }]) => ({
    name,
    dtype: 'F32' as const,
    shape: [...shape],
    bytes: 4 * elementCount(shape),
  }));
  yield* safetensorsHeader(entries, { format: 'pt' });
  for (const [name, { shape, data }] of ordered) {
    const numbers = await data();
    if (elementCount(shape) !== numbers.length) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `${what}: tensor '${name}' of [${shape.join(', ')}] has ${numbers.length} elements`,
      );
    }
    yield new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  }
}

/** Passes bytes on, and notes what they are once all have passed. */
class MarkedBytes {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(private readonly from: AsyncIterable<Uint8Array>) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for await (const part of this.from) {
      this.#hash.update(part);
      this.#bytes += part.length;
      yield part;
    }
  }

  get mark(): FileMark {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }
}

/**
 * Writes a file of tensors. A function of its own, as a loop would hold the tensors of a part while it asks for the next ones.
 *
 * @param what - Name of the tensors in messages.
 */
async function writeTensors(path: string, what: string, tensors: TensorSources, disk: Disk): Promise<FileMark> {
  const bytes = new MarkedBytes(bytesOf(tensors, what));
  await disk.write(path, bytes);
  return bytes.mark;
}

/** Writes the files of a checkpoint into an empty folder; `state.json` is the last. Gives the average, the last part. */
export async function writeCheckpointFiles(
  folder: string,
  { step, progress, part, levelLosses }: TrainingCheckpoint,
  disk: Disk,
): Promise<TensorSources> {
  const files: Record<string, FileMark> = {};
  for (const name of trainingParts.filter((each) => each !== 'average')) {
    files[parts[name]] = await writeTensors(join(folder, parts[name]), name, await part(name), disk);
  }
  if (levelLosses !== undefined) {
    const losses = new Map([[levelLossesTensor, { shape: [levelLosses.length], data: () => levelLosses }]]);
    files[levelLossesName] = await writeTensors(join(folder, levelLossesName), 'levelLosses', losses, disk);
  }
  const average = await part('average');
  files[parts.average] = await writeTensors(join(folder, parts.average), 'average', average, disk);
  const state = { format: FORMAT, step, progress, files };
  await disk.write(join(folder, stateName), [`${JSON.stringify(state, null, 2)}\n`]);
  return average;
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

/** Tells whether a file holds these tensors. */
export async function holds(path: string, tensors: TensorSources): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  const bytes = new MarkedBytes(bytesOf(tensors, path));
  for await (const _ of bytes);
  const { mark } = bytes;
  return found.size === mark.bytes && (await hashOf(path)) === mark.sha256;
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

/** Tensors of a file of float32, which are read into an array for all of them. */
function sourcesIn(header: SafetensorsHeader): TensorSources {
  let room: Uint8Array<ArrayBuffer> | undefined;
  const read = async (name: string, elements: number): Promise<Float32Array> => {
    room ??= new Uint8Array(Math.max(...[...header.tensors.values()].map(({ bytes }) => bytes)));
    return floatsOf('F32', (await readTensorBytes(header, name, room)).bytes, elements);
  };
  return new Map(
    [...header.tensors].map(([name, { shape }]) => [name, { shape, data: () => read(name, elementCount(shape)) }]),
  );
}

/** Reads the header of a file of float32. */
async function readHeader(path: string): Promise<SafetensorsHeader> {
  const header = await readSafetensorsHeader(path);
  const [other] = [...header.tensors].find(([, { dtype }]) => dtype !== 'F32') ?? [];
  if (other === undefined) return header;
  throw new DpmError('ERR_DPM_TENSOR_DTYPE', `${path}: tensor '${other}' has to be F32`);
}

/** Reads the header of a file of float32 that is what was written. */
async function wholeHeader(
  folder: string,
  name: string,
  source: string,
  files: Record<string, unknown>,
): Promise<SafetensorsHeader> {
  const path = join(folder, name);
  await requireWhole(path, parseMark(source, files, name));
  return readHeader(path);
}

/**
 * Reads a checkpoint that is whole: every file is compared with the size and the hash that were noted as it was written, before any
 * of its tensors is read.
 *
 * @throws {@link DpmError} naming the file that is missing, damaged or of another format.
 */
export async function readCheckpointFiles(folder: string): Promise<WholeCheckpoint> {
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
  const headers = new Map<TrainingPart, SafetensorsHeader>();
  for (const name of trainingParts) {
    headers.set(name, await wholeHeader(folder, parts[name], source, files));
  }
  const levelLosses = levelLossesName in files ? await wholeHeader(folder, levelLossesName, source, files) : null;
  const headerOf = (name: TrainingPart): SafetensorsHeader => {
    const header = headers.get(name);
    if (header === undefined) throw new DpmError('ERR_DPM_ARGUMENT', `a checkpoint has no part '${name}'`);
    return header;
  };
  return {
    step,
    progress,
    part: (name) => sourcesIn(headerOf(name)),
    levelLosses: async () =>
      levelLosses === null ? null : (await readFloats(levelLosses, levelLossesTensor, ['F32'])).data,
    weights: headerOf('parameters').path,
  };
}
