import type { ConfigReader } from '../../files/config-reader.js';

/** Largest number that norms add to a variance; beyond 1 little is left of a map, and float32 ends somewhere. */
export const LARGEST_EPSILON = 1;

/**
 * Refuses fields that are not listed; those that begin with an underline are notes.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function requireFields(config: ConfigReader, known: readonly string[]): void {
  config.onlyFields([...known, ...config.names().filter((name) => name.startsWith('_'))]);
}

/** Requires SiLU, by either of the library's two names. @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for another activation. */
export function requireSilu(config: ConfigReader): void {
  config.choice('act_fn', 'silu', ['silu', 'swish']);
}
