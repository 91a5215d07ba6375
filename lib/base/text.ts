/** Characters that move the cursor, colour text or turn its direction, halves of characters, and ends of lines. */
const control = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** A text in one line for a terminal, with characters that would do something there as escapes. */
export function oneLine(text: string): string {
  return text.replace(control, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** At most so many characters of a text, the last of them `...` where there were more. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`;
}

const MAX_SHOWN = 100;
/** More of them do not fit into what is shown. */
const MAX_ITEMS = MAX_SHOWN / 2;
const MAX_LEVELS = 3;

function shown(value: unknown, levels: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN));
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) {
    if (levels === 0) return '[...]';
    const items = value.slice(0, MAX_ITEMS).map((item) => shown(item, levels - 1));
    return `[${items.join(',')}]`;
  }
  if (levels === 0) return '{...}';
  const fields = Object.entries(value).slice(0, MAX_ITEMS);
  return `{${fields.map(([name, field]) => `${shown(name, 0)}:${shown(field, levels - 1)}`).join(',')}}`;
}

/**
 * A value of any kind, about as `JSON.stringify` writes it, cut to the 100 characters that a message can bear. Unlike that
 * it ends for every value: for those that are nested deeper than the stack, contain themselves or are a BigInt.
 */
export function shownValue(value: unknown): string {
  return shown(value, MAX_LEVELS).slice(0, MAX_SHOWN);
}
