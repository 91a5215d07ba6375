import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { GammaTable } from '../variance/gamma.js';
import { analyticCosts } from '../variance/optimal-costs.js';
import { samplerByName } from './index.js';
import type { SamplerOptions } from './options.js';

/** The samplers that need the option `gamma`. */
const gammaSamplers: ReadonlySet<string> = new Set(['analytic-ddpm', 'analytic-ddim']);

/**
 * A sampler's options, completed from a model's table of second moments where it needs one that is not given: `gamma` itself,
 * and the costs of an optimal trajectory.
 */
export function withTables(
  sampler: string,
  options: SamplerOptions,
  schedule: NoiseSchedule,
  modelGamma: GammaTable | null,
): SamplerOptions {
  const gamma = options.gamma ?? modelGamma ?? undefined;
  if (gamma === undefined) return options;
  const completed = { ...options };
  if (gammaSamplers.has(sampler)) completed.gamma = gamma;
  // The others refuse such trajectories.
  const isReverse = 'family' in samplerByName(sampler);
  if (options.trajectory === 'optimal' && isReverse) completed.costs ??= analyticCosts(schedule, gamma);
  return completed;
}
