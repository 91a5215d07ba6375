import { wrongValue } from '../base/checks.js';
import { arrayOf, isObject, kinds, requireKind } from '../base/option-kinds.js';
import { headKind } from '../program/program.js';

const records = arrayOf('records', kinds.object);

/**
 * Refuses a value that is no program, which plain JavaScript can give.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireProgram(program: unknown): void {
  const fields: Partial<Record<'kind' | 'records' | 'run' | 'head', unknown>> = isObject(program) ? program : {};
  const { kind, head = null } = fields;
  const isProgram =
    kind === 'step' ? records.holds(fields.records) : kind === 'host' && typeof fields.run === 'function';
  if (!isProgram) throw wrongValue('the program', program, "one of a sampler's, stepProgram's or a host program");
  requireKind('the head of the program', head, headKind);
}
