import { wrongValue } from '../base/checks.js';

function isFloat32Array(value: unknown): value is Float32Array {
  return Object.prototype.toString.call(value) === '[object Float32Array]';
}

function isNumbers(value: unknown): boolean {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function isSignal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return 'aborted' in value && 'addEventListener' in value && typeof value.addEventListener === 'function';
}

const isNumberOrNumbers = (value: unknown): boolean => typeof value === 'number' || isNumbers(value);

/** What each option of a run has to be, in words and as a test. */
const kinds: Readonly<Record<string, readonly [expected: string, holds: (value: unknown) => boolean]>> = {
  count: ['a number', (value) => typeof value === 'number'],
  batch: ['a number', (value) => typeof value === 'number'],
  snapshotEvery: ['a number', (value) => typeof value === 'number'],
  seed: ['a number or a bigint', (value) => typeof value === 'number' || typeof value === 'bigint'],
  classLabels: ['a label or an array of labels', isNumberOrNumbers],
  guidance: ['a number or an array of numbers', isNumberOrNumbers],
  unconditionalLabel: ['a label or null', (value) => value === null || typeof value === 'number'],
  init: ['a Float32Array', isFloat32Array],
  noise: [
    'a Float32Array or an array of such',
    (value) => isFloat32Array(value) || (Array.isArray(value) && value.every(isFloat32Array)),
  ],
  format: ['a string', (value) => typeof value === 'string'],
  signal: ['an AbortSignal', isSignal],
  onProgress: ['a function', (value) => typeof value === 'function'],
  correct: ['a function', (value) => typeof value === 'function'],
  model: ['a function', (value) => typeof value === 'function'],
  shape: ['an array of sizes', (value) => Array.isArray(value)],
};

/**
 * Refuses options of a run that are not of their type, as plain JavaScript gives them.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and what it has to be.
 */
export function checkRunOptions(options: object): void {
  for (const [name, value] of Object.entries(options)) {
    const kind = kinds[name];
    if (value === undefined || kind === undefined || kind[1](value)) continue;
    throw wrongValue(name, value, kind[0]);
  }
}

/**
 * Refuses what is no program, as plain JavaScript gives it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireProgram(program: unknown): void {
  const kind: unknown = typeof program === 'object' && program !== null && 'kind' in program ? program.kind : undefined;
  if (kind === 'step' || kind === 'host') return;
  throw wrongValue('the program', program, "one of a sampler's, stepProgram's or a host program");
}
