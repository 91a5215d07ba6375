import { DpmError } from '../base/errors.js';

/** The error for a wrong call. */
export function usageError(message: string): DpmError {
  return new DpmError('ERR_DPM_USAGE', message);
}
