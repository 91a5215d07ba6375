import { suggestion } from '../base/checks.js';
import type { OptionFact } from '../base/option-facts.js';
import { usageError } from './usage-error.js';
import { byteUnits } from './output.js';

/** Values as given; those of options that may be given several times as arrays. */
export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** The values of a command's options, converted as they are asked for. */
export class OptionValues {
  constructor(private readonly values: Values) {}

  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  flag(name: string): boolean {
    return this.values[name] === true;
  }

  string(name: string): string | undefined {
    const value = this.values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Gives the values of an option that may be given several times. */
  strings(name: string): string[] | undefined {
    const value = this.values[name];
    return Array.isArray(value) ? value.map(String) : undefined;
  }

  required(name: string): string {
    const value = this.string(name);
    if (value === undefined) throw usageError(`--${name} is missing`);
    return value;
  }

  number(name: string): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      throw usageError(`--${name} is '${text}', it has to be a number`);
    return value;
  }

  /** Reads an integer; with the fact of an option only a value that the library takes, so that no work precedes the error. */
  integer(name: string, fact?: OptionFact): number | undefined {
    const value = this.number(name);
    if (value === undefined) return undefined;
    if (!Number.isSafeInteger(value)) throw usageError(`--${name} is '${value}', it has to be an integer`);
    if (fact?.kind.holds(value) === false)
      throw usageError(`--${name} is ${value}, it has to be ${fact.kind.expected}`);
    return value;
  }

  /** Reads bytes, as `8GiB` or a number. */
  bytes(name: string): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const [, count, unit = 'B'] = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)?$/.exec(text) ?? [];
    const value = Math.round(Number(count) * 1024 ** byteUnits.indexOf(unit));
    if (Number.isSafeInteger(value)) return value;
    throw usageError(`--${name} is '${text}', it has to be a number of bytes, as 8GiB or 512MiB`);
  }

  /** Gives one of `valid`. */
  choice<T extends string>(name: string, valid: readonly T[]): T | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const found = valid.find((each) => each === text);
    if (found === undefined) {
      throw usageError(`--${name} is '${text}'${suggestion(text, valid)}, it has to be one of ${valid.join(', ')}`);
    }
    return found;
  }

  /** Reads numbers separated by commas. */
  numbers(name: string): number[] | undefined {
    return this.string(name)
      ?.split(',')
      .map((part) => {
        const value = Number(part);
        if (part.trim() === '' || !Number.isFinite(value)) {
          throw usageError(`--${name} has '${part}', it has to be numbers separated by commas`);
        }
        return value;
      });
  }

  /** A 64-bit seed. */
  seed(name: string): bigint | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,20}$/.test(text))
      throw usageError(`--${name} is '${text}', it has to be an integer from 0 to 2^64 - 1`);
    return BigInt(text);
  }
}
