import { at } from '../base/arrays.js';
import type { StepProgram } from './program.js';
import { MAX_HISTORY, type LinearUpdate, type RecordVariance, type StepRecord } from './record.js';
import { validateProgram } from './validate.js';

/** Size of one binary record (native/backend/record.h). */
export const RECORD_BYTES = 192;

/** Bits of the record's first word. */
export const recordFlags = { evaluate: 1, readY: 2, writeX: 4, writeY: 8, storeHistory: 16, noiseless: 32 } as const;

const clipModes = { none: 0, static: 1, dynamic: 2 } as const;
const varianceForms = { none: 0, scalar: 1, linear: 2, log: 3 } as const;

/** Positions of the record's 32-bit words. */
const word = {
  flags: 0,
  slot: 1,
  clip: 2,
  variance: 3,
  time: 4,
  inputScale: 5,
  predictionInput: 6,
  predictionOutput: 7,
  clipLow: 8,
  clipHigh: 9,
  historyInput: 10,
  historyData: 11,
  x: 12,
  deviation: 23,
  offset: 24,
  head: 25,
  epsilonSquared: 26,
  epsilonInput: 27,
  epsilonOutput: 28,
  low: 29,
  high: 30,
  y: 31,
  clipCeiling: 42,
  guide: 43,
} as const;

class RecordWriter {
  constructor(
    private readonly view: DataView,
    private readonly base: number,
  ) {}

  integer(index: number, value: number): void {
    this.view.setUint32(this.base + 4 * index, value, true);
  }

  float(index: number, value: number): void {
    this.view.setFloat32(this.base + 4 * index, value, true);
  }

  update(index: number, update: LinearUpdate): void {
    this.float(index, update.x);
    this.float(index + 1, update.y);
    this.float(index + 2, update.out);
    update.history.forEach((coefficient, slot) => {
      if (slot < MAX_HISTORY) this.float(index + 3 + slot, coefficient);
    });
  }
}

/** Finds for every record whether a later one reads its slot before another one overwrites it. */
function readLater(records: readonly StepRecord[]): boolean[] {
  const isRead: boolean[] = [];
  // Slots that later records read before they write them.
  const wanted = new Array<boolean>(MAX_HISTORY).fill(false);
  for (let index = records.length - 1; index >= 0; --index) {
    const { store, x, y } = at(records, index);
    isRead[index] = at(wanted, store.slot);
    for (const update of [x, y]) {
      update?.history.forEach((coefficient, slot) => {
        if (coefficient !== 0) wanted[slot] = true;
      });
    }
    wanted[store.slot] = false;
  }
  return isRead;
}

/** Gives the variance that only a record's guide reads; undefined if it reads none, or that of the noise. */
function varianceOfGuide({ guide, guideVariance, variance }: StepRecord): RecordVariance | undefined {
  return variance.kind === 'none' && guide !== undefined && guide.xVariance !== 0 ? guideVariance : undefined;
}

function flagsOf(record: StepRecord, store: boolean): number {
  return (
    (record.evaluate ? recordFlags.evaluate : 0) |
    (record.read === 'y' ? recordFlags.readY : 0) |
    (record.x === null ? 0 : recordFlags.writeX) |
    (record.y === null ? 0 : recordFlags.writeY) |
    (store ? recordFlags.storeHistory : 0) |
    (varianceOfGuide(record) === undefined ? 0 : recordFlags.noiseless)
  );
}

function writeClip(writer: RecordWriter, { clip }: StepRecord): void {
  writer.integer(word.clip, clipModes[clip.kind]);
  if (clip.kind === 'static') {
    writer.float(word.clipLow, clip.low);
    writer.float(word.clipHigh, clip.high);
  } else if (clip.kind === 'dynamic') {
    writer.float(word.clipLow, clip.quantile);
    writer.float(word.clipHigh, clip.floor);
    writer.float(word.clipCeiling, clip.ceiling ?? Infinity);
  }
}

function writeVariance(writer: RecordWriter, record: StepRecord): void {
  const variance = varianceOfGuide(record) ?? record.variance;
  writer.integer(word.variance, varianceForms[variance.kind]);
  if (variance.kind === 'none') return;
  if (variance.kind === 'scalar') {
    writer.float(word.deviation, variance.deviation);
    return;
  }
  writer.float(word.offset, variance.offset);
  writer.float(word.head, variance.head);
  writer.float(word.low, variance.low);
  writer.float(word.high, variance.high);
  if (variance.kind === 'linear') {
    writer.float(word.epsilonSquared, variance.epsilonSquared);
    writer.float(word.epsilonInput, variance.epsilon.input);
    writer.float(word.epsilonOutput, variance.epsilon.output);
  }
}

function writeRecord(writer: RecordWriter, record: StepRecord, store: boolean): void {
  writer.integer(word.flags, flagsOf(record, store));
  writer.integer(word.slot, record.store.slot);
  writer.float(word.time, record.time);
  writer.float(word.inputScale, record.inputScale);
  writer.float(word.predictionInput, record.prediction.input);
  writer.float(word.predictionOutput, record.prediction.output);
  writer.float(word.historyInput, record.store.input);
  writer.float(word.historyData, record.store.data);
  writeClip(writer, record);
  writeVariance(writer, record);
  if (record.guide !== undefined) {
    const { stored, x, xVariance, y } = record.guide;
    [stored, x, xVariance, y].forEach((coefficient, i) => {
      writer.float(word.guide + i, coefficient);
    });
  }
  if (record.x !== null) writer.update(word.x, record.x);
  if (record.y !== null) writer.update(word.y, record.y);
}

/** Packs one record into its binary form. `store`: true if the ring keeps the new prediction for later records. */
export function packRecord(record: StepRecord, store: boolean): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  writeRecord(new RecordWriter(new DataView(bytes.buffer), 0), record, store);
  return bytes;
}

/**
 * Packs a program into binary records, {@link RECORD_BYTES} each, little-endian, coefficients rounded to float32 once.
 * A prediction is kept in the ring only if a later record reads it before it is overwritten.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the program is not valid.
 */
export function packRecords(program: StepProgram): Uint8Array {
  validateProgram(program);
  const bytes = new Uint8Array(program.records.length * RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  const isRead = readLater(program.records);
  program.records.forEach((record, index) => {
    writeRecord(new RecordWriter(view, index * RECORD_BYTES), record, at(isRead, index));
  });
  return bytes;
}
