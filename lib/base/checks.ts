import { closest, distance } from 'fastest-levenshtein';

import { DpmError } from './errors.js';
import { shownValue } from './text.js';

/** Makes the error for a value that an option does not take, which plain JavaScript callers can give. */
export function wrongValue(name: string, value: unknown, expected: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', `${name} is ${shownValue(value)}, it has to be ${expected}`);
}

/** Checks for an object. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for null and undefined. */
export function requireObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw wrongValue(name, value, 'an object');
}

/** Makes the error for a name outside a fixed set; plain JavaScript callers reach branches that the types exclude. */
export function unknownName(option: string, value: unknown, valid: readonly string[]): DpmError {
  const shown = typeof value === 'string' ? `'${value.slice(0, 80)}'` : shownValue(value);
  const near = typeof value === 'string' ? suggestion(value, valid) : '';
  return new DpmError('ERR_DPM_ARGUMENT', `${option} ${shown} is unknown${near}; use one of ${valid.join(', ')}`);
}

/** Tells whether two names have the same letters, as two that a slip has swapped have. */
function isSwapped(name: string, other: string): boolean {
  const sorted = (text: string): string =>
    Array.from(text.slice(0, other.length + 1))
      .sort()
      .join('');
  return name !== other && sorted(name) === sorted(other);
}

/** Returns ` (did you mean 'x'?)` if a valid name is similar, else an empty text. */
export function suggestion(name: string, valid: readonly string[]): string {
  const near = valid.find((each) => isSwapped(name, each)) ?? (valid.length === 0 ? '' : closest(name, [...valid]));
  const far = Math.ceil(name.length / 3);
  return distance(name.toLowerCase(), near.toLowerCase()) <= far ? ` (did you mean '${near}'?)` : '';
}

/**
 * Refuses options that nothing reads.
 *
 * @param what - Owner of the options, e.g. `Device.open`.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option, the nearest valid name and all of them.
 */
export function refuseUnknownOptions(what: string, options: object, valid: readonly string[]): void {
  requireObject(`the options of ${what}`, options);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || valid.includes(name)) continue;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${what} has no option '${name}'${suggestion(name, valid)}; its options: ${valid.join(', ')}`,
    );
  }
}
