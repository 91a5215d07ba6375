import { DpmError } from './errors.js';

/** @throws {@link DpmError} `ERR_DPM_ARGUMENT` for null and undefined, which plain JavaScript callers can give. */
export function requireObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} is ${String(value)}, it has to be an object`);
  }
}

/** The error for a name outside a fixed set; plain JavaScript callers reach branches the types rule out. */
export function unknownName(option: string, value: string, valid: readonly string[]): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', `${option} '${value}' is unknown; use one of ${valid.join(', ')}`);
}
