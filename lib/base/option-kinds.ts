import { refuseUnknownOptions, wrongValue } from './checks.js';

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a value may be: in words, for messages, and as a test. */
export interface Kind {
  /** E.g. `a number`. */
  readonly expected: string;
  /** What it may be in JSON; absent for what JSON cannot hold. */
  readonly schema?: JsonSchema;
  /** Whether a value is such. */
  holds(value: unknown): boolean;
}

/** The kind of every option of an interface; one that is missing or too many does not compile. */
export type OptionKinds<T extends object> = { readonly [Name in keyof T]-?: Kind };

/** More dimensions than any tensor has. */
const MOST_SIZES = 64;

const typedArrays = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** `Float32Array` and the like, of whatever realm, for what is one and does not only say so; else undefined. */
export function typedArrayName(value: unknown): string | undefined {
  return Reflect.get(typedArrays, Symbol.toStringTag, value) as string | undefined;
}

/** What a value is, e.g. `Float32Array`; unlike `instanceof` the same for values of another realm. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/** More entries are no list that somebody made: arrays of JavaScript can have a length without entries. */
const MOST_ENTRIES = 2 ** 24;

/** An array of at most 2^24 entries. */
export function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length <= MOST_ENTRIES;
}

function isTypedArray(value: unknown): boolean {
  return typedArrayName(value)?.startsWith('Big') === false;
}

/** A plain object or an instance, but no array and no function. */
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

/** Another description of a kind's values in JSON. */
export function withSchema(kind: Kind, schema: JsonSchema): Kind {
  return { ...kind, schema };
}

/** One of some names. */
export function oneOf(names: readonly string[]): Kind {
  const expected = `one of ${names.join(', ')}`;
  return { expected, schema: { enum: names }, holds: (value) => typeof value === 'string' && names.includes(value) };
}

/** One of some names as {@link oneOf}, for options whose names are checked later, with a word on what may have been meant. */
export function nameOf(names: readonly string[]): Kind {
  return withSchema(kinds.string, { enum: names });
}

/** One of several kinds. */
export function either(...kinds: readonly Kind[]): Kind {
  const schemas = kinds.map(({ schema }) => schema).filter((schema) => schema !== undefined);
  return {
    expected: kinds.map(({ expected }) => expected).join(' or '),
    ...(schemas.length > 0 && { schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas } }),
    holds: (value) => kinds.some((kind) => kind.holds(value)),
  };
}

/** An array of one kind. */
export function arrayOf(expected: string, kind: Kind): Kind {
  // `every` would pass over what a list has not got.
  return {
    expected,
    ...(kind.schema !== undefined && { schema: { type: 'array', items: kind.schema } }),
    holds: (value) => isList(value) && Array.from(value).every((each) => kind.holds(each)),
  };
}

/** A plain object or an instance, for which there are better words than `an object`. */
export function objectOf(expected: string): Kind {
  return { expected, holds: isObject };
}

/** Instances of a class. */
export function instanceOf(expected: string, type: { [Symbol.hasInstance](value: unknown): boolean }): Kind {
  return { expected, holds: (value) => value instanceof type };
}

/** An integer of at least `least`. */
export function integerFrom(least: number, expected = `an integer from ${least}`): Kind {
  return {
    expected,
    schema: { type: 'integer', minimum: least, maximum: Number.MAX_SAFE_INTEGER },
    holds: (value) => Number.isSafeInteger(value) && (value as number) >= least,
  };
}

/** An integer of at least `least`, at most `most`. */
export function integerBetween(least: number, most: number): Kind {
  const expected = `an integer from ${least} to ${most}`;
  return {
    expected,
    schema: { type: 'integer', minimum: least, maximum: most },
    holds: (value) => integerFrom(least).holds(value) && (value as number) <= most,
  };
}

/** What options may be; ranges that depend on more than the value are checked where that is known. */
export const kinds = {
  /** Kind of options that others check, with more to say about them. */
  any: { expected: 'anything', holds: () => true },
  number: {
    expected: 'a number',
    schema: { type: 'number' },
    holds: (value) => typeof value === 'number' && !Number.isNaN(value),
  },
  finite: { expected: 'a finite number', schema: { type: 'number' }, holds: (value) => Number.isFinite(value) },
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

/** [C, H, W] of one image. */
export const threeSizes: Kind = {
  expected: 'three positive integers',
  holds: (value) =>
    isList(value) && value.length === 3 && Array.from(value).every((size) => kinds.positiveInteger.holds(size)),
};

/** One number for all samples, or one for each. */
export const numberOrNumbers = either(kinds.number, kinds.numbers);

/** Seed of the random stream: 64 bits. */
export const seedKind: Kind = {
  expected: 'an integer from 0 to 2^53 - 1, or a bigint below 2^64',
  // JSON has a bigint as its digits.
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
 * Refuses options that nobody would read, and such that are not of their kind, as plain JavaScript gives them.
 *
 * @param what - Whose options they are, e.g. `Device.open`.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and what it has to be.
 */
export function checkOptions<T extends object>(what: string, options: object, all: OptionKinds<T>): void {
  const table: Readonly<Record<string, Kind>> = all;
  refuseUnknownOptions(what, options, Object.keys(table));
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) requireKind(name, value, table[name]);
  }
}

/** @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value of another kind. */
export function requireKind(name: string, value: unknown, kind: Kind | undefined): void {
  if (kind?.holds(value) === false) throw wrongValue(name, value, kind.expected);
}
