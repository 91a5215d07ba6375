import { DpmError } from './errors.js';

/** The error for a name outside a fixed set; plain JavaScript callers reach branches the types rule out. */
export function unknownName(option: string, value: string, valid: readonly string[]): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', `${option} '${value}' is unknown; use one of ${valid.join(', ')}`);
}
