import { requireObject } from '../base/checks.js';
import type { SamplerName } from './index.js';
import type { SamplerOptions } from './options.js';

/**
 * Splits the options of a call that names a sampler into the sampler's own and those that `others` lists. Without a name
 * the sampler is `scheduler`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no object.
 */
export function splitOptions<T extends object>(
  options: { sampler?: SamplerName | undefined },
  others: { readonly [Name in keyof T]: unknown },
): { sampler: SamplerName; own: SamplerOptions; run: T } {
  requireObject('the argument of sample', options);
  const { sampler = 'scheduler', ...rest } = options;
  const isOther = ([name]: [string, unknown]): boolean => Object.hasOwn(others, name);
  const all: [string, unknown][] = Object.entries(rest);
  return {
    sampler,
    own: Object.fromEntries(all.filter((entry) => !isOther(entry))),
    run: Object.fromEntries(all.filter(isOther)) as T,
  };
}
