import { availableParallelism } from 'node:os';

import type { LoadOptions } from 'dpm-native';

import type { ModelConfig } from './model-config.js';

/** Cores from which on one is left to the event loop: with fewer it would be too much of them. */
const MANY_CORES = 4;

/** How a model is loaded. Unless it says how many threads it takes, one core of many is left to answers. */
export function loadOptions(
  { config, device, dtype, exact, threads }: ModelConfig,
  cores: number = availableParallelism(),
): LoadOptions {
  return {
    config,
    device: device ?? 'auto',
    dtype,
    exact,
    threads: threads ?? (cores >= MANY_CORES ? cores - 1 : undefined),
  };
}
