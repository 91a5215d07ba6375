import { wrongValue } from '../base/checks.js';
import { isList, isObject } from '../base/option-kinds.js';

/**
 * Refuses what is no program, as plain JavaScript gives it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireProgram(program: unknown): void {
  const fields: Partial<Record<'kind' | 'records' | 'run' | 'head', unknown>> = isObject(program) ? program : {};
  const { kind, head = null } = fields;
  const isProgram = kind === 'step' ? isList(fields.records) : kind === 'host' && typeof fields.run === 'function';
  if (!isProgram) throw wrongValue('the program', program, "one of a sampler's, stepProgram's or a host program");
  if (![null, 'npr', 'sn', 'learned'].includes(head as string | null)) {
    throw wrongValue('the head of the program', head, "'npr', 'sn', 'learned' or null");
  }
}
