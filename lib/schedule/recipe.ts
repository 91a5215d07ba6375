/** Makers of noise schedules, static methods of `NoiseSchedule`. */
export const scheduleMakers = [
  'linear',
  'scaledLinear',
  'cosine',
  'fromBetas',
  'vp',
  'vpDiscrete',
  've',
  'edm',
  'fromSchedulerConfig',
] as const;

/** Methods of a schedule that make another one of it. */
export const scheduleChanges = ['with', 'continuous', 'sde'] as const;

/** A call of a maker, or of a method that makes another schedule, with its arguments. */
type ScheduleCall = readonly [
  name: (typeof scheduleMakers)[number] | (typeof scheduleChanges)[number],
  ...args: unknown[],
];

/** Calls that make a schedule again, of values that can be sent to another thread. */
export type ScheduleRecipe = readonly (readonly [name: string, ...args: unknown[]])[];

/** Most calls of a recipe. */
export const MOST_CALLS = 64;

/** Adds a call to a recipe; null if an argument holds a function, which cannot be sent, and after too many calls. */
export function extendedRecipe(recipe: ScheduleRecipe | null, ...[name, ...args]: ScheduleCall): ScheduleRecipe | null {
  if (recipe === null || recipe.length === MOST_CALLS) return null;
  try {
    // The caller may change what it has given.
    return [...recipe, [name, ...structuredClone(args)]];
  } catch {
    return null;
  }
}
