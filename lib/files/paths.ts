import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';

/**
 * Gives a path from a path or from the URL of a file.
 *
 * @param name - Name of the option in an error.
 * @param expected - Description of allowed values.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for any other value.
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

/**
 * Gives the absolute path by which native code opens a file. Electron lets only JavaScript read files inside an application's
 * archive; those packed with `asarUnpack` lie in a folder beside it, too.
 */
export function nativePath(path: string): string {
  const whole = resolve(path);
  const unpacked = whole.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
  return unpacked !== whole && existsSync(unpacked) ? unpacked : whole;
}
