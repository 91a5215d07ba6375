import type { DpmError } from '../base/errors.js';

/** Maximum depth of containers. No configuration has ten, and code that walks a value may then recurse. */
export const MAX_NESTING = 64;

/** Description of a text that is nested too deep, for messages. */
export const nestedTooDeep = `is nested more than ${MAX_NESTING} deep`;

/** Describes a text with a key that occurs twice in one object, for messages. */
export function keyTwice(key: string): string {
  return `has the key '${key.slice(0, 80)}' twice`;
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; ++i) {
    if (text[i] === '\\') ++i;
    else if (text[i] === '"') return i;
  }
  return text.length;
}

function isBeforeColon(text: string, end: number): boolean {
  let i = end + 1;
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') ++i;
  return text[i] === ':';
}

function keyOf(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/** Finds a problem by strings and brackets alone, as numbers and literals contain none; `text` need not be valid. */
function findProblem(text: string): string | undefined {
  const scopes: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; ++i) {
    const character = text[i];
    if (character === '{' || character === '[') {
      if (scopes.length >= MAX_NESTING) return nestedTooDeep;
      scopes.push(null);
    } else if (character === '}' || character === ']') scopes.pop();
    else if (character === '"') {
      const end = endOfString(text, i);
      if (scopes.length > 0 && isBeforeColon(text, end)) {
        const key = keyOf(text, i, end);
        // Most containers hold numbers, which need no set.
        const keys = (scopes[scopes.length - 1] ??= new Set());
        if (keys.has(key)) return keyTwice(key);
        keys.add(key);
      }
      i = end;
    }
  }
  return undefined;
}

/** A number of Python's that JSON does not have, and the text that `JSON.parse` reads as it; NaN needs a mark of our own. */
const notANumber = '\u0000NaN';
const pythonNumbers: readonly (readonly [python: string, json: string])[] = [
  ['Infinity', '1e999'],
  ['NaN', JSON.stringify(notANumber)],
];

/** The text with the numbers that Python's json module writes and JSON lacks replaced by such that JSON has. */
function withPythonNumbers(text: string): string {
  const parts: string[] = [];
  let done = 0;
  for (let i = 0; i < text.length; ++i) {
    if (text[i] === '"') {
      i = endOfString(text, i);
      continue;
    }
    const found = pythonNumbers.find(([python]) => text.startsWith(python, i));
    // A number is no key, which the mark for NaN could be.
    if (found === undefined || isBeforeColon(text, i + found[0].length - 1)) continue;
    parts.push(text.slice(done, i), found[1]);
    i += found[0].length - 1;
    done = i + 1;
  }
  return [...parts, text.slice(done)].join('');
}

/** Gives V8's message for a text that is no JSON, without the quoted text: it may be of any file. */
function withoutText(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return reason.replace(/, (?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON$/su, '').slice(0, 200);
}

/** Options of {@link parseJson} beside JSON. */
export interface JsonOptions {
  /** Switch: `NaN`, `Infinity` and `-Infinity` are numbers, as Python's json module writes them. Default false. */
  python?: boolean;
}

/**
 * Parses as `JSON.parse`, but refuses a key that occurs twice in one object and containers nested more than 64 deep.
 * `JSON.parse` keeps only the last value of a key, and readers that differ in that read different files.
 *
 * @param invalid - Makes the error from a text that begins with a verb: `is not JSON: ...`.
 * @throws {@link DpmError} The error that `invalid` makes.
 */
export function parseJson(
  text: string,
  invalid: (problem: string, cause?: unknown) => DpmError,
  { python = false }: JsonOptions = {},
): unknown {
  let problem: string | undefined;
  try {
    // The check comes first: a short text of brackets alone makes a large value.
    problem = findProblem(text);
    if (problem === undefined) {
      if (!python || !pythonNumbers.some(([name]) => text.includes(name))) return JSON.parse(text) as unknown;
      const revive = (_: string, value: unknown): unknown => (value === notANumber ? NaN : value);
      return JSON.parse(withPythonNumbers(text), revive) as unknown;
    }
  } catch (cause) {
    throw invalid(`is not JSON: ${withoutText(cause)}`, cause);
  }
  throw invalid(problem);
}

/** Finds the end of the value at `start`: after its last bracket or quote, or before the next comma or bracket. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; ++i) {
    const character = text[i];
    if (character === '"') {
      i = endOfString(text, i);
      if (depth === 0) return i + 1;
    } else if (character === '{' || character === '[') ++depth;
    else if (character === '}' || character === ']') {
      if (depth === 0) return i;
      if (--depth === 0) return i + 1;
    } else if (character === ',' && depth === 0) return i;
  }
  return text.length;
}

/** The place of the next character that is no white space. */
function afterSpace(text: string, start: number): number {
  let i = start;
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') ++i;
  return i;
}

/**
 * Yields the entries of a JSON object one by one, so that the reader of a large one can do other work between two.
 * Refuses the same as {@link parseJson}.
 *
 * @param invalid - Makes the error, as for {@link parseJson}.
 * @throws {@link DpmError} The error that `invalid` makes.
 */
export function* jsonEntries(
  text: string,
  invalid: (problem: string, cause?: unknown) => DpmError,
): Generator<[key: string, value: unknown]> {
  const keys = new Set<string>();
  const unexpected = (place: number): DpmError => {
    const found = text[place];
    return invalid(`is not JSON: ${found === undefined ? 'it ends too early' : `unexpected '${found}' at ${place}`}`);
  };
  let place = afterSpace(text, 0);
  if (text[place] !== '{') throw text[place] === '[' ? invalid('is not a JSON object') : unexpected(place);
  place = afterSpace(text, place + 1);
  for (let separator = '{'; text[place] !== '}' || separator === ',';) {
    if (text[place] !== '"') throw unexpected(place);
    const end = endOfString(text, place);
    const key = parseJson(text.slice(place, end + 1), invalid) as string;
    if (keys.has(key)) throw invalid(keyTwice(key));
    keys.add(key);
    place = afterSpace(text, end + 1);
    if (text[place] !== ':') throw unexpected(place);
    place = afterSpace(text, place + 1);
    const last = endOfValue(text, place);
    yield [key, parseJson(text.slice(place, last), invalid)];
    place = afterSpace(text, last);
    separator = text[place] ?? '';
    if (separator === '}') break;
    if (separator !== ',') throw unexpected(place);
    place = afterSpace(text, place + 1);
  }
  place = afterSpace(text, place + 1);
  if (place < text.length) throw unexpected(place);
}
