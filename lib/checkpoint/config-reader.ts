import { DpmError } from '../errors.js';

/** A JSON value that is an object, not an array and not null. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads the fields of a configuration with their types. An absent field takes the default, an explicit null is a value.
 * Every error names the source and the field.
 */
export class ConfigReader {
  readonly #fields: ReadonlyMap<string, unknown>;

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

  /** The size of an image that is halved between the levels that a list of another field has. */
  levelSize(name: string, levels: string): number {
    const size = this.integer(name, undefined, { least: 1, most: 16_384 });
    const listed = this.raw(levels);
    const count = Array.isArray(listed) ? listed.length : 1;
    if (count < 1 || count > 16) throw this.error(levels, 'a list of 1 to 16 levels');
    if (size % 2 ** (count - 1) !== 0) throw this.error(name, `divisible by ${2 ** (count - 1)} for ${count} levels`);
    return size;
  }

  raw(name: string): unknown {
    return this.#fields.get(name);
  }

  error(name: string, expected: string): DpmError {
    const shown = JSON.stringify(this.#fields.get(name)) as string | undefined;
    return new DpmError(
      'ERR_DPM_CONFIG',
      `${this.source}: ${name} is ${(shown ?? 'missing').slice(0, 80)}, it has to be ${expected}`,
    );
  }

  unsupported(name: string, supported: string): DpmError {
    const shown = JSON.stringify(this.#fields.get(name)) as string | undefined;
    return new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${this.source}: ${name} ${(shown ?? '').slice(0, 80)} is not supported; supported: ${supported}`,
    );
  }

  boolean(name: string, absent: boolean): boolean {
    if (!this.has(name)) return absent;
    const value = this.raw(name);
    if (typeof value !== 'boolean') throw this.error(name, 'true or false');
    return value;
  }

  number(name: string, absent?: number): number {
    if (!this.has(name) && absent !== undefined) return absent;
    const value = this.raw(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.error(name, 'a number');
    return value;
  }

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

  /** One of `supported`; another string is `ERR_DPM_UNSUPPORTED`. */
  choice<T extends string>(name: string, absent: T, supported: readonly T[]): T {
    const value = this.string(name, absent);
    const found = supported.find((each) => each === value);
    if (found === undefined) throw this.unsupported(name, supported.join(', '));
    return found;
  }

  numbersOrNull(name: string): number[] | null {
    const value = this.raw(name) ?? null;
    if (value === null) return null;
    if (
      !Array.isArray(value) ||
      !value.every((each): each is number => typeof each === 'number' && Number.isFinite(each))
    ) {
      throw this.error(name, 'an array of numbers');
    }
    return value;
  }

  integers(name: string, absent: readonly number[] | undefined, range: { least: number; most: number }): number[] {
    if (!this.has(name) && absent !== undefined) return [...absent];
    const value = this.raw(name);
    const valid = (each: unknown): each is number =>
      typeof each === 'number' && Number.isInteger(each) && each >= range.least && each <= range.most;
    if (!Array.isArray(value) || !value.every(valid)) {
      throw this.error(name, `an array of integers from ${range.least} to ${range.most}`);
    }
    return value;
  }

  strings(name: string, absent?: readonly string[]): string[] {
    if (!this.has(name) && absent !== undefined) return [...absent];
    const value = this.raw(name);
    if (!Array.isArray(value) || !value.every((each): each is string => typeof each === 'string')) {
      throw this.error(name, 'an array of strings');
    }
    return value;
  }
}
