import { DpmError } from '../base/errors.js';
import { kinds } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';

/**
 * Checks the entries n = 0..N of a table, all numbers of at least 0.
 *
 * @param where - Name of the table in messages.
 * @param code - Code of the error: for the value of an option, or for a file.
 * @throws {@link DpmError} naming the wrong entry.
 */
export function checkEntries(
  where: string,
  values: ArrayLike<number>,
  steps: number,
  code: 'ERR_DPM_CONFIG' | 'ERR_DPM_ARGUMENT',
): void {
  if (!kinds.numbers.holds(values)) {
    throw new DpmError(code, `${where} is ${shownValue(values)}, it has to be ${kinds.numbers.expected}`);
  }
  if (values.length !== steps + 1) {
    throw new DpmError(
      code,
      `${where} has ${values.length} entries, a schedule of ${shownValue(steps)} steps needs ${shownValue(steps + 1)} (n = 0..N)`,
    );
  }
  const entries = Array.from<unknown>(values);
  const bad = entries.findIndex((value) => !(typeof value === 'number' && Number.isFinite(value) && value >= 0));
  if (bad >= 0) {
    throw new DpmError(code, `${where} entry ${bad} is ${shownValue(entries[bad])}, it has to be a number not below 0`);
  }
}
