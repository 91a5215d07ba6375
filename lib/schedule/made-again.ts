import { wrongValue } from '../base/checks.js';
import { NoiseSchedule } from './noise-schedule.js';
import { MOST_CALLS, scheduleChanges, scheduleMakers, type ScheduleRecipe } from './recipe.js';

type Call = (...args: readonly unknown[]) => NoiseSchedule;

/** Checks a list, before it is read: one of a length that only its sender knows would take all memory. */
function listed(what: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0 && value.length <= MOST_CALLS) return value as unknown[];
  throw wrongValue(what, value, `an array of 1 to ${MOST_CALLS} entries`);
}

function called(on: object, names: readonly string[], call: unknown): NoiseSchedule {
  const [name, ...args] = listed('a call of the schedule', call);
  if (!names.some((each) => each === name)) throw wrongValue('a call of the schedule', name, names.join(' or '));
  return Reflect.apply(Reflect.get(on, String(name)) as Call, on, args);
}

/**
 * Makes a schedule again from its recipe, in this thread or another.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for what is no recipe.
 */
export function scheduleOf(recipe: ScheduleRecipe): NoiseSchedule {
  const [first, ...changes] = listed('the schedule of a task', recipe);
  return changes.reduce<NoiseSchedule>(
    (schedule, change) => called(schedule, scheduleChanges, change),
    called(NoiseSchedule, scheduleMakers, first),
  );
}
