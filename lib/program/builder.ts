import { DpmError } from '../base/errors.js';
import { checkOptions, either, kinds, requireKind, type OptionKinds } from '../base/option-kinds.js';
import { headKind, type ProgramHead, type StepProgram } from './program.js';
import type { LinearUpdate, StepRecord } from './record.js';
import { requireParts, validateProgram } from './validate.js';

const coefficientKinds: OptionKinds<LinearUpdate> = {
  x: kinds.any,
  y: kinds.any,
  out: kinds.any,
  history: kinds.numbers,
};

const objectOrNull = either(kinds.object, kinds.null);

const fieldKinds: OptionKinds<StepRecord> = {
  evaluate: kinds.boolean,
  time: kinds.any,
  inputScale: kinds.any,
  read: kinds.string,
  prediction: kinds.object,
  data: kinds.object,
  clip: kinds.object,
  store: kinds.object,
  x: objectOrNull,
  variance: kinds.object,
  guideVariance: kinds.object,
  y: objectOrNull,
  guide: kinds.object,
};

/** Options of {@link stepProgram}. */
export interface StepProgramOptions {
  /** Length of the ring of predictions. Default: the length that the records need. */
  history?: number;
  /** Standard deviation of the initial noise. Default 1. */
  initialScale?: number;
  /** Second output that the records read. Default null: none. */
  head?: ProgramHead | null;
  /** Meaning of the network's output for the records. Default: that of the model's schedule. */
  prediction?: string | undefined;
}

const programKinds: OptionKinds<StepProgramOptions> = {
  history: kinds.number,
  initialScale: kinds.number,
  head: headKind,
  prediction: kinds.string,
};

/**
 * Makes a linear update from the coefficients that are not zero.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a coefficient of another name.
 */
export function linear(coefficients: Partial<LinearUpdate>): LinearUpdate {
  checkOptions('linear', coefficients, coefficientKinds);
  return { x: 0, y: 0, out: 0, history: [], ...coefficients };
}

/**
 * Makes a record from fields that differ from the defaults: evaluate, read `x`, no clip, no noise, keep both registers.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a field of another name.
 */
export function stepRecord(fields: Partial<StepRecord> & Pick<StepRecord, 'time'>): StepRecord {
  checkOptions('stepRecord', fields, fieldKinds);
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
 * Makes a checked program.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the records are not a valid program.
 */
export function stepProgram(records: readonly StepRecord[], options: StepProgramOptions = {}): StepProgram {
  checkOptions('stepProgram', options, programKinds);
  requireKind('records', records, kinds.list);
  if (records.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'a step program needs at least one record');
  records.forEach((record, index) => {
    requireParts(`record ${index}`, record);
  });
  const history = records.reduce(
    (most, { store, x, y }) => Math.max(most, store.slot + 1, x?.history.length ?? 0, y?.history.length ?? 0),
    1,
  );
  const program: StepProgram = {
    kind: 'step',
    records,
    history: options.history ?? history,
    initialScale: options.initialScale ?? 1,
    head: options.head ?? null,
    ...(options.prediction !== undefined && { prediction: options.prediction }),
  };
  validateProgram(program);
  return program;
}
