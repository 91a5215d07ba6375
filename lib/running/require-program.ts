import { wrongValue } from '../base/checks.js';

/**
 * Refuses what is no program, as plain JavaScript gives it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireProgram(program: unknown): void {
  const kind: unknown = typeof program === 'object' && program !== null && 'kind' in program ? program.kind : undefined;
  if (kind === 'step' || (kind === 'host' && typeof (program as { run?: unknown }).run === 'function')) return;
  throw wrongValue('the program', program, "one of a sampler's, stepProgram's or a host program");
}
