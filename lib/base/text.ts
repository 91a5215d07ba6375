/** Characters that move the cursor, colour text or turn its direction, halves of characters, and ends of lines. */
const control = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** Converts a text to one line for a terminal, with control characters as escapes. */
export function oneLine(text: string): string {
  return text.replace(control, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Cuts a text to at most so many characters, the last of them `...` if there were more. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`;
}

const MAX_SHOWN = 100;
/** Maximum number of items that fit into the shown text. */
const MAX_ITEMS = MAX_SHOWN / 2;
const MAX_LEVELS = 3;

function shown(value: unknown, levels: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN));
  if (typeof value === 'function') return 'a function';
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
 * Writes a value of any kind about as `JSON.stringify` does, cut to the 100 characters that fit in a message. Unlike
 * that it works for every value: for values nested deeper than the stack, circular ones and BigInts.
 */
export function shownValue(value: unknown): string {
  return shown(value, MAX_LEVELS).slice(0, MAX_SHOWN);
}
