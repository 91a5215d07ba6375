import type { DpmErrorCode } from '../../base/errors.js';
import type { Dtype } from '../../files/safetensors.js';
import { PytorchStorage, PytorchTensor } from './tensor.js';

/** Key of a dictionary. Integers beyond 2^53 are bigints, all others numbers. */
export type PickleKey = null | boolean | number | bigint | string;

/**
 * Value of a PyTorch file. Tuples are frozen arrays, dtypes of PyTorch strings like `torch.float32`. No value contains
 * itself, and no walk through all of it is deeper than 128 containers.
 */
export type PickleValue = PickleKey | Uint8Array | PickleValue[] | Map<PickleKey, PickleValue> | PytorchTensor;

/** Value on the stack of a pickle: one of the result, or one that only calls use. */
export type MachineValue =
  | PickleKey
  | Uint8Array
  | MachineValue[]
  | Map<PickleKey, MachineValue>
  | PytorchTensor
  | PytorchStorage
  | StorageClass
  | Callable
  | NumpyDtype;

/** Actions of a call besides returning a value. */
export interface CallContext {
  /** Ends the reading with a message that names the file and the place in it. */
  fail: (problem: string, code?: DpmErrorCode) => never;
  /** Counts work that the length of the pickle does not bound. */
  spend: (values: number) => void;
  newDictionary: () => Map<PickleKey, MachineValue>;
  setItem: (dictionary: Map<PickleKey, MachineValue>, key: MachineValue, value: MachineValue) => void;
}

/** A global that can be called. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly MachineValue[], context: CallContext) => MachineValue,
  ) {}
}

/** Global that tells the type of a storage's elements. */
export class StorageClass {
  constructor(
    readonly name: string,
    readonly dtype: Dtype | null,
  ) {}
}

/** The dtype of a number that numpy wrote. */
export class NumpyDtype {
  readonly name: string;
  constructor(readonly code: string) {
    this.name = `numpy.dtype('${code}')`;
  }
}

const keyTypes: ReadonlySet<string> = new Set(['boolean', 'number', 'bigint', 'string']);

/** Tells whether a value can be a key: lists the allowed types, so that nothing unforeseen is accepted. */
export function isKey(value: unknown): value is PickleKey {
  return value === null || keyTypes.has(typeof value);
}

/** Describes a value of any kind, for messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (Array.isArray(value)) return Object.isFrozen(value) ? 'a tuple' : 'a list';
  if (value instanceof Map) return 'a dictionary';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof PytorchTensor) return 'a tensor';
  if (value instanceof PytorchStorage) return 'a storage';
  if (value instanceof Callable || value instanceof StorageClass || value instanceof NumpyDtype) return value.name;
  if (typeof value === 'string') return 'a string';
  return isKey(value) ? String(value).slice(0, 100) : `a JavaScript ${typeof value}`;
}

/** Converts an integer to a number, if a number is equal to it. */
export function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Tells whether a value is a tuple, which is a frozen array here. */
export function isTuple(value: MachineValue | undefined): value is MachineValue[] {
  return Array.isArray(value) && Object.isFrozen(value);
}

/** Tells whether a value is an integer that can be a size or an offset. */
export function isCount(value: MachineValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
