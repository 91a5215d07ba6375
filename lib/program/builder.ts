import { optionNames, refuseUnknownOptions } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { ProgramHead, StepProgram } from './program.js';
import type { LinearUpdate, StepRecord } from './record.js';
import { requireParts, validateProgram } from './validate.js';

const coefficientNames = optionNames<LinearUpdate>({ x: true, y: true, out: true, history: true });
const fieldNames = optionNames<StepRecord>({
  evaluate: true,
  time: true,
  inputScale: true,
  read: true,
  prediction: true,
  clip: true,
  store: true,
  x: true,
  variance: true,
  y: true,
});

/**
 * A linear update from the coefficients that are not zero.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a coefficient of another name.
 */
export function linear(coefficients: Partial<LinearUpdate>): LinearUpdate {
  refuseUnknownOptions('linear', coefficients, coefficientNames);
  return { x: 0, y: 0, out: 0, history: [], ...coefficients };
}

/**
 * A record from the fields that differ from the plain ones: evaluate, read `x`, no clip, no noise, both registers kept.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a field of another name.
 */
export function stepRecord(fields: Partial<StepRecord> & Pick<StepRecord, 'time'>): StepRecord {
  refuseUnknownOptions('stepRecord', fields, fieldNames);
  return {
    evaluate: true,
    inputScale: 1,
    read: 'x',
    prediction: { input: 0, output: 0 },
    clip: { kind: 'none' },
    store: { slot: 0, input: 0, data: 0 },
    x: null,
    variance: { kind: 'none' },
    y: null,
    ...fields,
  };
}

/**
 * A checked program.
 *
 * @param options - `history`: length of the ring, by default as long as the records need; `initialScale`: standard
 * deviation of the initial noise, by default 1; `head`: the second output the records read.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when the records are not a valid program.
 */
export function stepProgram(
  records: readonly StepRecord[],
  options: { history?: number; initialScale?: number; head?: ProgramHead | null } = {},
): StepProgram {
  refuseUnknownOptions('stepProgram', options, ['history', 'initialScale', 'head']);
  if (records.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'a step program needs at least one record');
  records.forEach((record, index) => {
    requireParts(`record ${index}`, record);
  });
  const lengths = records.flatMap(({ store, x, y }) => [
    store.slot + 1,
    x?.history.length ?? 0,
    y?.history.length ?? 0,
  ]);
  const program: StepProgram = {
    kind: 'step',
    records,
    history: options.history ?? Math.max(...lengths),
    initialScale: options.initialScale ?? 1,
    head: options.head ?? null,
  };
  validateProgram(program);
  return program;
}
