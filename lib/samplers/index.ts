import { unknownName } from '../checks.js';
import { analyticDdim } from './analytic-ddim.js';
import { analyticDdpm } from './analytic-ddpm.js';
import { ddim } from './ddim.js';
import { ddpm } from './ddpm.js';
import type { Sampler } from './options.js';

/** Every sampler by its public name. */
export const samplers = {
  ddpm,
  ddim,
  'analytic-ddpm': analyticDdpm,
  'analytic-ddim': analyticDdim,
} as const satisfies Readonly<Record<string, Sampler>>;

export type SamplerName = keyof typeof samplers;

export const samplerNames = Object.keys(samplers) as SamplerName[];

/** The samplers that need the option `gamma`. */
export const gammaSamplers: ReadonlySet<SamplerName> = new Set(['analytic-ddpm', 'analytic-ddim']);

/**
 * The sampler of this name.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` listing the valid names.
 */
export function samplerByName(name: string): Sampler {
  const found = samplerNames.find((each) => each === name);
  if (found === undefined) {
    throw unknownName('sampler', name, samplerNames);
  }
  return samplers[found];
}
