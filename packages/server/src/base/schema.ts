import { DpmError } from 'dpm-native';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

import { nearest } from './nearest.js';

interface Fault {
  keyword: string;
  instancePath: string;
  message: string;
  params: object;
}

interface Check {
  Check(value: unknown): boolean;
  Errors(value: unknown): Fault[];
}

const compiled = new WeakMap<object, Check>();

function checkOf(schema: TSchema): Check {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const made = Compile(schema) as unknown as Check;
  compiled.set(schema, made);
  return made;
}

/** A fault of a value: its field, as `models/0/id` (or '' for the whole value), and the reason. */
export interface Mismatch {
  field: string;
  reason: string;
}

/** Finds the value at a path of field names, `/models/0/id`. */
function valueAt(value: unknown, path: string): unknown {
  return path
    .split('/')
    .slice(1)
    .reduce<unknown>((whole, field) => (Object(whole) as Record<string, unknown>)[field], value);
}

/** Says which names a field takes, and which of them is near to the given one. */
function oneOf(names: readonly unknown[], given: unknown): string {
  const valid = names.map(String);
  return `has to be one of ${valid.join(', ')}${typeof given === 'string' ? nearest(given, valid) : ''}`;
}

/** The first fault of a value; undefined where the value fits the schema. */
export function mismatchOf(schema: TSchema, value: unknown): Mismatch | undefined {
  const check = checkOf(schema);
  if (check.Check(value)) return undefined;
  const faults = check.Errors(value);
  // For an unknown field there is also a fault of its object, which has the better message.
  const fault = faults.find(({ keyword }) => keyword !== 'boolean') ?? faults[0];
  const field = fault?.instancePath.slice(1) ?? '';
  const { additionalProperties, requiredProperties, allowedValues } = Object(fault?.params) as Record<
    string,
    string[] | undefined
  >;
  if (additionalProperties !== undefined) {
    const [name = ''] = additionalProperties;
    const known = field === '' ? Object.keys(Object((schema as { properties?: object }).properties) as object) : [];
    return {
      field: field === '' ? name : `${field}/${name}`,
      reason: `is not a known field${nearest(name, known)}`,
    };
  }
  if (requiredProperties !== undefined) {
    const [name = ''] = requiredProperties;
    return { field: field === '' ? name : `${field}/${name}`, reason: 'is missing' };
  }
  if (allowedValues !== undefined) {
    return { field, reason: oneOf(allowedValues, valueAt(value, fault?.instancePath ?? '')) };
  }
  return { field, reason: fault?.message ?? 'is wrong' };
}

/**
 * A value that a schema describes.
 *
 * @param what - Where it comes from.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming that and the field.
 */
export function checked<S extends TSchema>(schema: S, value: unknown, what: string): Static<S> {
  const mismatch = mismatchOf(schema, value);
  if (mismatch === undefined) return value as Static<S>;
  const { field, reason } = mismatch;
  throw new DpmError('ERR_DPM_CONFIG', `${what}: ${field === '' ? 'all of it' : field} ${reason}`);
}
