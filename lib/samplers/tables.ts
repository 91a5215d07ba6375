import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { analyticCosts } from '../variance/costs.js';
import type { GammaTable } from '../variance/gamma.js';
import { samplerByName } from './index.js';
import type { SamplerOptions } from './options.js';

/**
 * Completes a sampler's options from a model's table of second moments if it needs one that is not given: `gamma` itself, and
 * the costs of an optimal trajectory.
 */
export function withTables(
  sampler: string,
  options: SamplerOptions,
  schedule: NoiseSchedule,
  modelGamma: GammaTable | null,
): SamplerOptions {
  const gamma = options.gamma ?? modelGamma ?? undefined;
  if (gamma === undefined) return options;
  const { facts } = samplerByName(sampler);
  const completed = { ...options };
  if (facts.needsGamma) completed.gamma = gamma;
  // Samplers without `costs` refuse such trajectories.
  const takesCosts = facts.options.costs !== undefined;
  if (options.trajectory === 'optimal' && takesCosts) completed.costs ??= analyticCosts(schedule, gamma);
  return completed;
}
