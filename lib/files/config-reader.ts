import { DpmError } from '../base/errors.js';
import { isList } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';

/** A JSON value that is an object, not an array and not null. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads the fields of a configuration with their types. An absent field takes the default, an explicit null is a value.
 * Whatever is not of the type that is asked for is `ERR_DPM_CONFIG`. Every error names the source and the field, and shows at
 * most 100 characters of its value.
 */
export class ConfigReader {
  readonly #fields: ReadonlyMap<string, unknown>;

  /** @param source - Name of the configuration in messages, e.g. the path of its file. */
  constructor(
    raw: Readonly<Record<string, unknown>>,
    readonly source: string,
  ) {
    this.#fields = new Map(Object.entries(raw));
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  names(): string[] {
    return [...this.#fields.keys()];
  }

  /**
   * Refuses fields that are not listed.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming the field.
   */
  onlyFields(known: readonly string[]): void {
    const other = this.names().find((name) => !known.includes(name));
    if (other !== undefined) {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `${this.source}: the field ${other.slice(0, 80)} is not supported`);
    }
  }

  /**
   * Reads the size of an image in pixels, which is halved between levels.
   *
   * @param levels - One entry for each level.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` if there are no levels or more than 16, or the size cannot be halved so often.
   */
  levelSize(name: string, levels: readonly number[]): number {
    const count = levels.length;
    const size = this.integer(name, undefined, { least: 1, most: 16_384 });
    if (count < 1 || count > 16) throw this.error(name, `of a network with 1 to 16 levels, not ${count}`);
    if (size % 2 ** (count - 1) !== 0) throw this.error(name, `divisible by ${2 ** (count - 1)} for ${count} levels`);
    return size;
  }

  /** Reads a field as it is; undefined if it is absent. */
  raw(name: string): unknown {
    return this.#fields.get(name);
  }

  /** Makes the error for a wrong field. */
  error(name: string, expected: string): DpmError {
    const value = this.raw(name);
    const shown = value === undefined ? 'missing' : shownValue(value);
    return new DpmError('ERR_DPM_CONFIG', `${this.source}: ${name} is ${shown}, it has to be ${expected}`);
  }

  /** Makes the error for a field with a value that this package does not support. */
  unsupported(name: string, supported: string): DpmError {
    const value = this.raw(name);
    const shown = value === undefined ? name : `${name} ${shownValue(value)}`;
    return new DpmError('ERR_DPM_UNSUPPORTED', `${this.source}: ${shown} is not supported; supported: ${supported}`);
  }

  boolean(name: string, absent: boolean): boolean {
    if (!this.has(name)) return absent;
    const value = this.raw(name);
    if (typeof value !== 'boolean') throw this.error(name, 'true or false');
    return value;
  }

  /** A finite number. Without a default the field has to be there. */
  number(name: string, absent?: number): number {
    if (!this.has(name) && absent !== undefined) return absent;
    const value = this.raw(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.error(name, 'a number');
    return value;
  }

  /** A finite number above 0, and at most `most`. */
  positive(name: string, absent: number, most = Infinity): number {
    const value = this.number(name, absent);
    if (!(value > 0)) throw this.error(name, 'a positive number');
    if (value > most) throw this.error(name, `a positive number of at most ${most}`);
    return value;
  }

  /** A number that may be infinite. Without a default the field has to be there. */
  numberOrInfinite(name: string, absent?: number): number {
    const value = this.raw(name);
    return value === Infinity || value === -Infinity ? value : this.number(name, absent);
  }

  /** Reads a finite number; null if the field is absent or null. */
  numberOrNull(name: string): number | null {
    return (this.raw(name) ?? null) === null ? null : this.number(name);
  }

  /** An integer from `range.least` to `range.most`, both included. Without a default the field has to be there. */
  integer(name: string, absent: number | undefined, range: { least: number; most: number }): number {
    const value = this.number(name, absent);
    if (!Number.isInteger(value) || value < range.least || value > range.most) {
      throw this.error(name, `an integer from ${range.least} to ${range.most}`);
    }
    return value;
  }

  /** An integer field that may be null. */
  integerOrNull(name: string, absent: number | null, range: { least: number; most: number }): number | null {
    if (!this.has(name)) return absent;
    return this.raw(name) === null ? null : this.integer(name, undefined, range);
  }

  string(name: string, absent?: string): string {
    if (!this.has(name) && absent !== undefined) return absent;
    const value = this.raw(name);
    if (typeof value !== 'string') throw this.error(name, 'a string');
    return value;
  }

  /** Reads one of `supported`; another string is `ERR_DPM_UNSUPPORTED`. */
  choice<T extends string>(name: string, absent: T, supported: readonly T[]): T {
    const value = this.string(name, absent);
    const found = supported.find((each) => each === value);
    if (found === undefined) throw this.unsupported(name, supported.join(', '));
    return found;
  }

  /** Reads a list of finite numbers; null if the field is absent or null. */
  numbersOrNull(name: string): number[] | null {
    const value = this.raw(name) ?? null;
    if (value === null) return null;
    if (!isList(value) || !value.every((each): each is number => typeof each === 'number' && Number.isFinite(each))) {
      throw this.error(name, 'an array of numbers');
    }
    return value;
  }

  /** A list of integers from `range.least` to `range.most`, both included. Without a default the field has to be there. */
  integers(name: string, absent: readonly number[] | undefined, range: { least: number; most: number }): number[] {
    if (!this.has(name) && absent !== undefined) return [...absent];
    const value = this.raw(name);
    const valid = (each: unknown): each is number =>
      typeof each === 'number' && Number.isInteger(each) && each >= range.least && each <= range.most;
    if (!isList(value) || !value.every(valid)) {
      throw this.error(name, `an array of integers from ${range.least} to ${range.most}`);
    }
    return value;
  }

  strings(name: string, absent?: readonly string[]): string[] {
    if (!this.has(name) && absent !== undefined) return [...absent];
    const value = this.raw(name);
    if (!isList(value) || !value.every((each): each is string => typeof each === 'string')) {
      throw this.error(name, 'an array of strings');
    }
    return value;
  }
}

/** Range of the channels of a map. */
export const widthRange = { least: 1, most: 65_536 };
