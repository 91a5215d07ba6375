import { requireObject } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isList } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import type { StepProgram } from './program.js';
import { MAX_HISTORY, type Clip, type LinearUpdate, type RecordVariance, type StepRecord } from './record.js';

function invalid(where: string, problem: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', `${where}: ${problem}`);
}

function requireFinite(where: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    // Records store float32: a number that overflows there is as wrong as one that is not finite here.
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value))) {
      throw invalid(where, `${name} is ${shownValue(value)}, it has to be a finite float32 number`);
    }
  }
}

function checkUpdate(where: string, update: LinearUpdate | null, slot: number, written: ReadonlySet<number>): void {
  if (update === null) return;
  requireFinite(where, { x: update.x, y: update.y, out: update.out });
  update.history.forEach((coefficient, index) => {
    requireFinite(where, { [`history[${index}]`]: coefficient });
    if (coefficient !== 0 && index !== slot && !written.has(index)) {
      throw invalid(where, `history slot ${index} is read before any record has written it`);
    }
  });
}

/** Checks a name, which plain JavaScript can choose freely. */
function requireOneOf(where: string, name: string, value: unknown, known: readonly unknown[]): void {
  if (known.includes(value)) return;
  throw invalid(where, `${name} is ${shownValue(value)}, it has to be one of ${known.join(', ')}`);
}

/**
 * Refuses a record whose parts are missing or of another kind, before anything is read from them.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the part.
 */
export function requireParts(where: string, record: StepRecord): void {
  const whole: unknown = record;
  if (typeof whole !== 'object' || whole === null) throw invalid(where, `it is ${shownValue(whole)}, not a record`);
  const { prediction, clip, store, variance, guideVariance, x, y, guide } = record;
  const updates = { ...(x !== null && { x }), ...(y !== null && { y }) };
  const rest = { ...(guideVariance !== undefined && { guideVariance }), ...(guide !== undefined && { guide }) };
  const parts = { prediction, clip, store, variance, ...updates, ...rest };
  for (const [name, part] of Object.entries(parts)) {
    const value: unknown = part;
    if (typeof value === 'object' && value !== null) continue;
    throw invalid(where, `${name} is ${shownValue(value)}, it has to be an object (stepRecord makes whole records)`);
  }
  requireOneOf(where, 'read', record.read, ['x', 'y']);
  requireOneOf(where, 'evaluate', record.evaluate, [true, false]);
  for (const [name, each] of Object.entries({ variance, guideVariance })) {
    if (each === undefined) continue;
    requireOneOf(where, `${name}.kind`, each.kind, ['none', 'scalar', 'linear', 'log']);
    if (each.kind === 'linear') requireEpsilon(where, name, each.epsilon);
  }
  for (const [name, { history }] of Object.entries(updates)) {
    if (isList(history)) continue;
    throw invalid(where, `${name}.history is ${shownValue(history)}, it has to be an array`);
  }
}

function requireEpsilon(where: string, variance: string, epsilon: unknown): void {
  if (typeof epsilon === 'object' && epsilon !== null) return;
  throw invalid(where, `${variance}.epsilon is ${shownValue(epsilon)}, it has to be an object`);
}

/** Checks a clip. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for wrong limits. */
export function validateClip(where: string, clip: Clip): void {
  requireOneOf(where, 'clip.kind', clip.kind, ['none', 'static', 'dynamic']);
  if (clip.kind === 'static') {
    requireFinite(where, { 'clip.low': clip.low, 'clip.high': clip.high });
    if (clip.low > clip.high) throw invalid(where, `clip.low ${clip.low} exceeds clip.high ${clip.high}`);
  }
  if (clip.kind === 'dynamic') {
    const { quantile, floor, ceiling } = clip;
    requireFinite(where, { 'clip.quantile': quantile, 'clip.floor': floor });
    if (quantile <= 0 || quantile > 1) throw invalid(where, 'clip.quantile has to be in (0, 1]');
    if (floor <= 0) throw invalid(where, 'clip.floor has to be positive');
    if (ceiling === undefined) return;
    requireFinite(where, { 'clip.ceiling': ceiling });
    if (!(Math.fround(ceiling) > 0)) throw invalid(where, 'clip.ceiling has to be positive');
  }
}

function checkVariance(where: string, name: string, variance: RecordVariance, writesX: boolean): void {
  if (variance.kind === 'none') return;
  if (!writesX) throw invalid(where, `${name} is of x, but the record does not write x`);
  if (variance.kind === 'scalar') {
    requireFinite(where, { [`${name}.deviation`]: variance.deviation });
    if (variance.deviation < 0) throw invalid(where, `${name}.deviation is negative`);
    return;
  }
  requireFinite(where, { offset: variance.offset, head: variance.head, low: variance.low, high: variance.high });
  if (variance.kind === 'linear') {
    requireFinite(where, {
      epsilonSquared: variance.epsilonSquared,
      'epsilon.input': variance.epsilon.input,
      'epsilon.output': variance.epsilon.output,
    });
  }
  if (variance.low < 0 || variance.low > variance.high) throw invalid(where, `${name} needs 0 <= low <= high`);
}

/** Finds the field by which a record depends on the network's outputs; null if there is none. */
function useOfOutputs({ clip, variance, x, y }: StepRecord): string | null {
  if (clip.kind !== 'none') return `clip '${clip.kind}'`;
  if (variance.kind === 'linear' || variance.kind === 'log') return `variance '${variance.kind}'`;
  for (const [name, update] of Object.entries({ x, y })) {
    if (update !== null && update.out !== 0) return `${name}.out`;
    if (update?.history.some((coefficient) => coefficient !== 0)) return `${name}.history`;
  }
  return null;
}

/** Checks a record before the first evaluation, when the outputs are undefined. */
function checkWithoutOutputs(where: string, record: StepRecord): void {
  const use = useOfOutputs(record);
  if (use === null) return;
  throw invalid(
    where,
    `${use} needs the network's output, but neither this record nor one before it evaluates the network`,
  );
}

/** Tells whether a record has a variance for a guide of the mean. */
export function hasVarianceForGuide({ variance, guideVariance }: StepRecord): boolean {
  return variance.kind !== 'none' || (guideVariance !== undefined && guideVariance.kind !== 'none');
}

function checkGuide(where: string, record: StepRecord): void {
  const { guide, x, y } = record;
  if (guide === undefined) return;
  requireFinite(`${where}, guide`, { ...guide });
  if (guide.xVariance !== 0 && !hasVarianceForGuide(record)) {
    throw invalid(where, 'guide.xVariance is for records that have a variance, this one has none');
  }
  if (guide.x !== 0 && x === null) throw invalid(where, 'a guide moves x, but the record does not write x');
  if (guide.y !== 0 && y === null) throw invalid(where, 'a guide moves y, but the record does not write y');
}

function checkRecord(record: StepRecord, where: string, history: number, written: ReadonlySet<number>): void {
  const { slot } = record.store;
  if (!Number.isInteger(slot) || slot < 0 || slot >= history) {
    throw invalid(where, `slot ${shownValue(slot)} is outside a history of ${history}`);
  }
  requireFinite(where, {
    time: record.time,
    inputScale: record.inputScale,
    'prediction.input': record.prediction.input,
    'prediction.output': record.prediction.output,
    ...(record.data && { 'data.input': record.data.input, 'data.output': record.data.output }),
    'store.input': record.store.input,
    'store.data': record.store.data,
  });
  validateClip(where, record.clip);
  checkVariance(where, 'variance', record.variance, record.x !== null);
  if (record.guideVariance !== undefined)
    checkVariance(where, 'guideVariance', record.guideVariance, record.x !== null);
  for (const update of [record.x, record.y]) {
    if (update !== null && update.history.length > history) {
      throw invalid(where, `${update.history.length} history coefficients for a history of ${history}`);
    }
  }
  checkGuide(where, record);
  checkUpdate(`${where}, x`, record.x, slot, written);
  checkUpdate(`${where}, y`, record.y, slot, written);
}

const anySlot: ReadonlySet<number> = new Set(Array.from({ length: MAX_HISTORY }, (_, slot) => slot));

/**
 * Checks a record that is applied alone, to registers that the caller has filled.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the record and the error.
 */
export function validateRecord(where: string, record: StepRecord): void {
  requireParts(where, record);
  checkRecord(record, where, MAX_HISTORY, anySlot);
}

/**
 * Checks a step program: at least one record, finite float32 numbers, slots inside the ring and never read before they
 * are written, no use of the network's outputs before the first record that evaluates it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the record and the error.
 */
export function validateProgram(program: StepProgram): void {
  requireObject('the step program', program);
  const list: unknown = program.records;
  if (!isList(list)) throw invalid('step program', 'its records are no array');
  const { history } = program;
  if (!Number.isInteger(history) || history < 1 || history > MAX_HISTORY) {
    throw invalid('step program', `history is ${shownValue(history)}, it has to be an integer in 1..${MAX_HISTORY}`);
  }
  if (program.records.length === 0) throw invalid('step program', 'it has no record');
  requireFinite('step program', { initialScale: program.initialScale });
  const written = new Set<number>();
  let evaluated = false;
  // Missing entries of a list are refused, too.
  Array.from(program.records).forEach((record, index) => {
    const where = `record ${index}`;
    requireParts(where, record);
    evaluated ||= record.evaluate;
    checkRecord(record, where, history, written);
    if (evaluated) written.add(record.store.slot);
    else checkWithoutOutputs(where, record);
  });
}
