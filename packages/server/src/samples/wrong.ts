import { ServerError } from '../base/problem.js';

/** The error for a wrong field. */
export function wrong(param: string, reason: string): ServerError {
  return new ServerError('ERR_DPM_ARGUMENT', `${param} ${reason}`, { param });
}
