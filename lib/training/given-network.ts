import { wrongValue } from '../base/checks.js';
import { isJsonObject } from '../files/config-reader.js';
import { pathOf } from '../files/paths.js';
import type { TrainerOptions } from './options.js';

const expected = 'a path, a file URL, a configuration or the name of a preset';

/**
 * Takes the network of a call: a path or a name, or a copy of a configuration, as its owner may change it while it is read.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for anything else.
 */
export function takenNetwork(given: TrainerOptions['network']): string | Readonly<Record<string, unknown>> | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'string' || given instanceof URL || !isJsonObject(given))
    return pathOf('network', given, expected);
  try {
    return structuredClone(given);
  } catch {
    throw wrongValue('network', given, 'a configuration of values that JSON can hold');
  }
}
