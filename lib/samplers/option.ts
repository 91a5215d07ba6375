import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';

/** Where the text of options comes from: the command line. Each function gives undefined for an option that is absent. */
export interface OptionTexts {
  /** Whether the switch was given. */
  flag(name: string): boolean;
  /** The text of an option. */
  string(name: string): string | undefined;
  /** The number that the text is. */
  number(name: string): number | undefined;
  /** The integer that the text is. */
  integer(name: string): number | undefined;
  /** Numbers separated by commas. */
  numbers(name: string): number[] | undefined;
  /** The text, where it is one of `valid`. */
  choice<T extends string>(name: string, valid: readonly T[]): T | undefined;
}

/** One option of a sampler: what it takes and what it is for. */
export interface Option<T> {
  /** What the command line shows for its value; undefined for a switch. */
  readonly value: string | undefined;
  /** One line: what it does, with its range and default. */
  readonly help: string;
  /** @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and what it has to be. */
  check(name: string, value: T): void;
  /** The value on the command line; absent for tables, which it reads from files. */
  read?(texts: OptionTexts, flag: string): T | undefined;
}

/** A number; without `within` the sampler itself says which fit its schedule. */
export function numberOption(
  help: string,
  { value = 'X', within }: { value?: string; within?: { words: string; holds: (number: number) => boolean } } = {},
): Option<number> {
  return {
    value,
    help,
    check(name, number) {
      const given: unknown = number;
      if (typeof given !== 'number' || Number.isNaN(given)) throw wrongValue(name, given, within?.words ?? 'a number');
      if (within !== undefined && !within.holds(given)) throw wrongValue(name, given, within.words);
    },
    read: (texts, flag) => texts.number(flag),
  };
}

/** A finite number above 0. */
export function positiveOption(help: string): Option<number> {
  const holds = (number: number): boolean => number > 0 && Number.isFinite(number);
  return numberOption(help, { within: { words: 'a positive number', holds } });
}

/** An integer from `least` to `most`. */
export function integerOption(help: string, least: number, most: number): Option<number> {
  return {
    value: 'P',
    help: `${help}, ${least} to ${most}`,
    check(name, number) {
      if (Number.isInteger(number) && number >= least && number <= most) return;
      throw wrongValue(name, number, `an integer from ${least} to ${most}`);
    },
    read: (texts, flag) => texts.integer(flag),
  };
}

/** One of a few names. */
export function choiceOption<const T extends string>(help: string, valid: readonly T[], value = 'NAME'): Option<T> {
  return {
    value,
    help: `${help}: ${valid.join(', ')}`,
    check(name, chosen) {
      if (!valid.includes(chosen)) throw unknownName(name, chosen, valid);
    },
    read: (texts, flag) => texts.choice(flag, valid),
  };
}

/** True or false. */
export function switchOption(help: string): Option<boolean> {
  return {
    value: undefined,
    help,
    check(name, value) {
      if (typeof value !== 'boolean') throw new DpmError('ERR_DPM_ARGUMENT', `${name} has to be true or false`);
    },
    read: (texts, flag) => texts.flag(flag) || undefined,
  };
}

/** A table that the command line reads from a file; its sampler checks it against the schedule. */
export function tableOption<T>(help: string): Option<T> {
  return { value: 'FILE', help, check: () => undefined };
}
