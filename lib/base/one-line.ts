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
