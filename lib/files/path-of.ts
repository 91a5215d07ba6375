import { fileURLToPath } from 'node:url';

import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';

/**
 * A path, given as such or as the URL of a file.
 *
 * @param name - Whose path it is, in an error.
 * @param expected - What it may be.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for what is none.
 */
export function pathOf(name: string, given: unknown, expected = 'a path or a file URL'): string {
  if (given instanceof URL) {
    try {
      return fileURLToPath(given);
    } catch (cause) {
      throw new DpmError('ERR_DPM_ARGUMENT', `${name} ${given.href.slice(0, 200)} is not the URL of a file`, { cause });
    }
  }
  if (typeof given !== 'string') throw wrongValue(name, given, expected);
  if (given.includes('\0')) throw wrongValue(name, given, 'a path without zero bytes');
  return given;
}
