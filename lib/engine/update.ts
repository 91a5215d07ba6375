import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError, nativeWork } from '../base/errors.js';
import {
  arrayOf,
  checkOptions,
  either,
  instanceOf,
  isObject,
  kinds,
  type OptionKinds,
  requireKind,
} from '../base/option-kinds.js';
import { seedWords } from '../base/random.js';
import { packRecord, RECORD_BYTES } from '../program/pack.js';
import { MAX_HISTORY, type StepRecord } from '../program/record.js';
import { validateRecord } from '../program/validate.js';
import type { NativeRegisters } from './binding.js';
import { DeviceTensor } from './device.js';

/** The tensors of a fused update, `[batch, …]` each; those a record does not use can be left out. */
export interface UpdateRegisters {
  /** The state, [batch, …]. */
  x: DeviceTensor;
  /** The second state of methods with inner stages. */
  y?: DeviceTensor | null;
  /** The network's output. */
  out?: DeviceTensor | null;
  /** The network's second output. */
  head?: DeviceTensor | null;
  /** Standard normal noise to use instead of the random stream. */
  noise?: DeviceTensor | null;
  /** Past predictions, `m[0]`, `m[1]`, … */
  history?: readonly (DeviceTensor | null)[];
}

/** Point of the counter-based random stream at which a sample draws normal numbers. */
export interface NoiseStream {
  /** Seed of the run, an integer from 0 or a bigint below 2^64. */
  seed: number | bigint;
  /** Index of the sample among all of a run. */
  sampleIndex: number;
  /** Index of the record that draws. */
  record: number;
  /** Index of the draw in the record, from 0. */
  draw: number;
}

const tensor = instanceOf('a DeviceTensor', DeviceTensor);
const tensorOrNull = either(tensor, kinds.null);

const registerKinds: OptionKinds<UpdateRegisters> = {
  x: tensor,
  y: tensorOrNull,
  out: tensorOrNull,
  head: tensorOrNull,
  noise: tensorOrNull,
  history: arrayOf('an array of DeviceTensors and nulls', tensorOrNull),
};

function nativeRegisters(registers: UpdateRegisters): NativeRegisters {
  const unwrap = (tensor: DeviceTensor | null | undefined) => tensor?.native ?? null;
  const { history = [] } = registers;
  return {
    x: registers.x.native,
    y: unwrap(registers.y),
    out: unwrap(registers.out),
    head: unwrap(registers.head),
    noise: unwrap(registers.noise),
    history: Array.from({ length: MAX_HISTORY }, (_, slot) => unwrap(history[slot])),
  };
}

function streamWords(streams: readonly NoiseStream[]): Uint32Array {
  return Uint32Array.from(
    streams.flatMap(({ seed, sampleIndex, record, draw }) => [...seedWords(seed), sampleIndex, record, draw]),
  );
}

const wordRange = 'an integer from 0 to 4294967295';

const recordOrRecords = either(
  { expected: 'a record', holds: (value) => isObject(value) && 'time' in value },
  arrayOf('an array of records', kinds.object),
);

const streamList = arrayOf('an array of { seed, sampleIndex, record, draw }', kinds.object);

function checkStreams(streams: readonly NoiseStream[]): void {
  for (const [index, stream] of streams.entries()) {
    for (const name of ['sampleIndex', 'record', 'draw'] as const) {
      const word: unknown = stream[name];
      if (typeof word === 'number' && Number.isInteger(word) && word >= 0 && word < 2 ** 32) continue;
      throw wrongValue(`streams[${index}].${name}`, word, wordRange);
    }
  }
}

function checkRegisters(registers: UpdateRegisters): void {
  const { x, y, out, head, noise, history = [] } = registers;
  for (const tensor of [y, out, head, noise, ...history]) {
    if (tensor && (tensor.device !== x.device || tensor.elements !== x.elements)) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `the registers of an update have to lie on one device with ${x.elements} elements each`,
      );
    }
  }
}

/**
 * Runs a fused update from binary records, one per sample.
 *
 * @internal
 */
export async function packedUpdate(
  records: Uint8Array,
  registers: UpdateRegisters,
  streams: readonly NoiseStream[],
): Promise<void> {
  const batch = records.length / RECORD_BYTES;
  checkRegisters(registers);
  checkStreams(streams);
  const { engine } = registers.x.device;
  const words = streamWords(streams);
  await nativeWork(() =>
    engine.update(batch, registers.x.elements / batch, records, nativeRegisters(registers), words),
  );
}

/**
 * Runs one fused update, which every sampler of this package is made of, for samplers of your own; see
 * {@link StepRecord} for its arithmetic. The network's outputs have to be in `registers.out` and `registers.head`
 * already.
 *
 * @param record - One record for all samples, or one per sample of the batch (the first size of `x`). A record that
 * stores a prediction (`store` with a coefficient that is not 0) writes `history[slot]` when that register is given.
 * @param streams - Point of the random stream per sample. Default: stream 0 of each sample with seed 0.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` or `ERR_DPM_TENSOR_SHAPE` if the arguments do not fit.
 *
 * @example
 * ```ts
 * // x <- 0.9 x + 0.1 out
 * await update(stepRecord({ time: 0, x: linear({ x: 0.9, out: 0.1 }) }), { x, out });
 * ```
 */
export async function update(
  record: StepRecord | readonly StepRecord[],
  registers: UpdateRegisters,
  streams?: readonly NoiseStream[],
): Promise<void> {
  checkOptions('the registers of update', registers, registerKinds);
  requireKind('registers.x', registers.x, tensor);
  requireKind('record', record, recordOrRecords);
  const batch = at(registers.x.shape, 0);
  const records = 'time' in record ? Array.from({ length: batch }, () => record) : record;
  if (streams !== undefined) requireKind('streams', streams, streamList);
  if (records.length !== batch || (streams !== undefined && streams.length !== batch)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `a batch of ${batch} needs one record and one stream per sample`);
  }
  const packed = new Uint8Array(batch * RECORD_BYTES);
  if ('time' in record) validateRecord('the record', record);
  else for (const [sample, each] of record.entries()) validateRecord(`record ${sample}`, each);
  records.forEach((each, sample) => {
    const keeps =
      (each.store.input !== 0 || each.store.data !== 0) && (registers.history?.[each.store.slot] ?? null) !== null;
    packed.set(packRecord(each, keeps), sample * RECORD_BYTES);
  });
  const plain = (_: unknown, sampleIndex: number): NoiseStream => ({ seed: 0, sampleIndex, record: 0, draw: 0 });
  await packedUpdate(packed, registers, streams ?? Array.from({ length: batch }, plain));
}
