/** Patterns and what replaces them, each tried once, in order. */
export type Renames = readonly (readonly [pattern: RegExp, replacement: string])[];

export function renamed(renames: Renames, name: string): string {
  return renames.reduce((current, [pattern, replacement]) => current.replace(pattern, replacement), name);
}
