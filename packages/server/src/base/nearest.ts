import { closest, distance } from 'fastest-levenshtein';

/** Gives ` (did you mean 'x'?)` where a valid name is similar to what was asked for, else an empty text. */
export function nearest(asked: string, valid: readonly string[]): string {
  const near = closest(asked.slice(0, 80), valid);
  const isNear = valid.length > 0 && distance(asked, near) <= Math.ceil(asked.length / 3);
  return isNear ? ` (did you mean '${near}'?)` : '';
}
