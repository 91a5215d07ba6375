import { availableParallelism } from 'node:os';

import type { LoadOptions } from 'dpm-native';

import type { ModelConfig } from './model-config.js';

/** The least number of cores for which one is left to the event loop. With fewer cores, one would be too large a part. */
const MANY_CORES = 4;

/** The options for loading a model. Without a number of threads, one core of many is left for answering requests. */
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
