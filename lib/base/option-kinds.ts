import { refuseUnknownOptions, wrongValue } from './checks.js';

/** Schema in the form of JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Kind of a value: in words, for messages, and as a test. */
export interface Kind {
  /** Description of the kind, e.g. `a number`. */
  readonly expected: string;
  /** Schema of its values in JSON; absent for values that JSON cannot hold. */
  readonly schema?: JsonSchema;
  /** Tells whether a value is of this kind. */
  holds(value: unknown): boolean;
}

/** Kind of every option of an interface; a missing or unknown one does not compile. */
export type OptionKinds<T extends object> = { readonly [Name in keyof T]-?: Kind };

/** Maximum number of sizes, more than any tensor has. */
const MOST_SIZES = 64;

const typedArrays = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** Name of a typed array's class, e.g. `Float32Array`, of any realm and not only by its tag; else undefined. */
export function typedArrayName(value: unknown): string | undefined {
  return Reflect.get(typedArrays, Symbol.toStringTag, value) as string | undefined;
}

/** Class name of a value, e.g. `Float32Array`; unlike `instanceof` it works for values of another realm, too. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/** Maximum number of entries; arrays of JavaScript can have a greater length without entries. */
const MOST_ENTRIES = 2 ** 24;

/** Tells whether a value is an array of at most 2^24 entries. */
export function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length <= MOST_ENTRIES;
}

function isTypedArray(value: unknown): boolean {
  return typedArrayName(value)?.startsWith('Big') === false;
}

/** Tells whether a value is a plain object or an instance, but no array and no function. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSignal(value: unknown): boolean {
  return (
    isObject(value) && 'aborted' in value && 'addEventListener' in value && typeof value.addEventListener === 'function'
  );
}

export function isFloat32Array(value: unknown): value is Float32Array {
  return typedArrayName(value) === 'Float32Array';
}

function ofType(expected: string, type: 'string' | 'boolean'): Kind {
  return { expected, schema: { type }, holds: (value) => typeof value === type };
}

/** Replaces the description of a kind's values in JSON. */
export function withSchema(kind: Kind, schema: JsonSchema): Kind {
  return { ...kind, schema };
}

/** Kind of values that are one of some names. */
export function oneOf(names: readonly string[]): Kind {
  const expected = `one of ${names.join(', ')}`;
  return { expected, schema: { enum: names }, holds: (value) => typeof value === 'string' && names.includes(value) };
}

/** Kind of names as {@link oneOf}, for options whose names are checked later, with a suggestion of a similar one. */
export function nameOf(names: readonly string[]): Kind {
  return withSchema(kinds.string, { enum: names });
}

/** Kind that is one of several kinds. */
export function either(...kinds: readonly Kind[]): Kind {
  const schemas = kinds.map(({ schema }) => schema).filter((schema) => schema !== undefined);
  return {
    expected: kinds.map(({ expected }) => expected).join(' or '),
    ...(schemas.length > 0 && { schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas } }),
    holds: (value) => kinds.some((kind) => kind.holds(value)),
  };
}

/** Kind of an array whose entries are of one kind. */
export function arrayOf(expected: string, kind: Kind): Kind {
  // `every` would skip missing entries.
  return {
    expected,
    ...(kind.schema !== undefined && { schema: { type: 'array', items: kind.schema } }),
    holds: (value) => isList(value) && Array.from(value).every((each) => kind.holds(each)),
  };
}

/** Kind of a plain object or an instance, with a better description than `an object`. */
export function objectOf(expected: string): Kind {
  return { expected, holds: isObject };
}

/** Kind of the instances of a class. */
export function instanceOf(expected: string, type: { [Symbol.hasInstance](value: unknown): boolean }): Kind {
  return { expected, holds: (value) => value instanceof type };
}

/** Kind of integers of at least `least`. */
export function integerFrom(least: number, expected = `an integer from ${least}`): Kind {
  return {
    expected,
    schema: { type: 'integer', minimum: least, maximum: Number.MAX_SAFE_INTEGER },
    holds: (value) => Number.isSafeInteger(value) && (value as number) >= least,
  };
}

/** Kind of integers from `least` to `most`. */
export function integerBetween(least: number, most: number): Kind {
  const expected = `an integer from ${least} to ${most}`;
  return {
    expected,
    schema: { type: 'integer', minimum: least, maximum: most },
    holds: (value) => integerFrom(least).holds(value) && (value as number) <= most,
  };
}

/** Kind of finite numbers of at least 0. */
export const fromZero: Kind = {
  expected: 'a number from 0',
  schema: { type: 'number', minimum: 0 },
  holds: (value) => Number.isFinite(value) && Number(value) >= 0,
};

/** Kind of numbers from 0 to below 1. */
export const belowOne: Kind = {
  expected: 'a number from 0 to below 1',
  schema: { type: 'number', minimum: 0, exclusiveMaximum: 1 },
  holds: (value) => fromZero.holds(value) && Number(value) < 1,
};

/** Kind of numbers from 0 to 1. */
export const probability: Kind = {
  expected: 'a number from 0 to 1',
  schema: { type: 'number', minimum: 0, maximum: 1 },
  holds: (value) => fromZero.holds(value) && Number(value) <= 1,
};

/** Kind of numbers above 0, up to 1. */
export const shareAboveZero: Kind = {
  expected: 'a number above 0, at most 1',
  schema: { type: 'number', exclusiveMinimum: 0, maximum: 1 },
  holds: (value) => typeof value === 'number' && value > 0 && value <= 1,
};

/** Kinds of options; ranges that depend on more than the value are checked elsewhere. */
export const kinds = {
  /** Kind of options that other code checks, with better messages. */
  any: { expected: 'anything', holds: () => true },
  number: {
    expected: 'a number',
    schema: { type: 'number' },
    holds: (value) => typeof value === 'number' && !Number.isNaN(value),
  },
  /** Numbers that are used as float32. */
  float32: {
    expected: 'a finite number, as float32 has it',
    schema: { type: 'number' },
    holds: (value) => typeof value === 'number' && Number.isFinite(Math.fround(value)),
  },
  finite: { expected: 'a finite number', schema: { type: 'number' }, holds: (value) => Number.isFinite(value) },
  positive: {
    expected: 'a positive number',
    schema: { type: 'number', exclusiveMinimum: 0 },
    holds: (value) => Number.isFinite(value) && Number(value) > 0,
  },
  string: ofType('a string', 'string'),
  boolean: ofType('true or false', 'boolean'),
  function: { expected: 'a function', holds: (value) => typeof value === 'function' },
  object: objectOf('an object'),
  null: { expected: 'null', schema: { type: 'null' }, holds: (value) => value === null },
  positiveInteger: integerFrom(1, 'a positive integer'),
  bigint: { expected: 'a bigint', holds: (value) => typeof value === 'bigint' },
  floats: { expected: 'a Float32Array', holds: isFloat32Array },
  numbers: {
    expected: 'an array of numbers',
    schema: { type: 'array', items: { type: 'number' } },
    holds: (value) => isList(value) || isTypedArray(value),
  },
  list: { expected: 'an array', holds: isList },
  sizes: {
    expected: 'an array of sizes',
    holds: (value) =>
      isList(value) && value.length <= MOST_SIZES && Array.from(value).every((size) => typeof size === 'number'),
  },
  signal: { expected: 'an AbortSignal', holds: isSignal },
} as const satisfies Record<string, Kind>;

/** Kind of a shape [C, H, W] of one image. */
export const threeSizes: Kind = {
  expected: 'three positive integers',
  holds: (value) =>
    isList(value) && value.length === 3 && Array.from(value).every((size) => kinds.positiveInteger.holds(size)),
};

/** Kind of one number for all samples, or one for each. */
export const numberOrNumbers = either(kinds.number, kinds.numbers);

/** Kind of a seed of the random stream: 64 bits. */
export const seedKind: Kind = {
  expected: 'an integer from 0 to 2^53 - 1, or a bigint below 2^64',
  // A bigint is written in JSON as its digits.
  schema: {
    anyOf: [
      { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      { type: 'string', pattern: '^[0-9]{1,20}$' },
    ],
  },
  holds: (value) =>
    typeof value === 'bigint'
      ? value >= 0n && value < 1n << 64n
      : Number.isSafeInteger(value) && (value as number) >= 0,
};

/**
 * Refuses unknown options, and options of another kind, which plain JavaScript can give.
 *
 * @param what - Owner of the options, e.g. `Device.open`.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and its kind.
 */
export function checkOptions<T extends object>(what: string, options: object, all: OptionKinds<T>): void {
  const table: Readonly<Record<string, Kind>> = all;
  refuseUnknownOptions(what, options, Object.keys(table));
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) requireKind(name, value, table[name]);
  }
}

/** Checks the kind of a value. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value of another kind. */
export function requireKind(name: string, value: unknown, kind: Kind | undefined): void {
  if (kind?.holds(value) === false) throw wrongValue(name, value, kind.expected);
}
