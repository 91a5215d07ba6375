import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';

/** Source of the text of options: the command line. Each function gives undefined for an option that is absent. */
export interface OptionTexts {
  /** Tells whether the switch was given. */
  flag(name: string): boolean;
  /** Gives the text of an option. */
  string(name: string): string | undefined;
  /** Reads the text as a number. */
  number(name: string): number | undefined;
  /** Reads the text as an integer. */
  integer(name: string): number | undefined;
  /** Reads numbers separated by commas. */
  numbers(name: string): number[] | undefined;
  /** Gives the text if it is one of `valid`. */
  choice<T extends string>(name: string, valid: readonly T[]): T | undefined;
}

/** Option of a sampler: its kind of values and its purpose. */
export interface Option<T> {
  /** Placeholder of its value on the command line; undefined for a switch. */
  readonly value: string | undefined;
  /** JSON type of its values; absent for lists, tables and what has several forms. */
  readonly type?: 'number' | 'integer' | 'boolean' | 'string';
  /** Valid names, if it is one of a few. */
  readonly choices?: readonly T[];
  /** Description in one line: its effect, with its range and default. */
  readonly help: string;
  /** Checks a value. @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and the allowed values. */
  check(name: string, value: T): void;
  /** Reads the value on the command line; absent for tables, which come from files. */
  read?(texts: OptionTexts, flag: string): T | undefined;
}

/** Makes an option for a number; without `within` the sampler checks it with its schedule. */
export function numberOption(
  help: string,
  { value = 'X', within }: { value?: string; within?: { words: string; holds: (number: number) => boolean } } = {},
): Option<number> {
  return {
    value,
    type: 'number',
    help,
    check(name, number) {
      const given: unknown = number;
      if (typeof given !== 'number' || Number.isNaN(given)) throw wrongValue(name, given, within?.words ?? 'a number');
      if (within !== undefined && !within.holds(given)) throw wrongValue(name, given, within.words);
    },
    read: (texts, flag) => texts.number(flag),
  };
}

/** Makes an option for a finite number above 0. */
export function positiveOption(help: string): Option<number> {
  const holds = (number: number): boolean => number > 0 && Number.isFinite(number);
  return numberOption(help, { within: { words: 'a positive number', holds } });
}

/** Makes an option for an integer from `least` to `most`. */
export function integerOption(help: string, least: number, most: number): Option<number> {
  return {
    value: 'P',
    type: 'integer',
    help: `${help}, ${least} to ${most}`,
    check(name, number) {
      if (Number.isInteger(number) && number >= least && number <= most) return;
      throw wrongValue(name, number, `an integer from ${least} to ${most}`);
    },
    read: (texts, flag) => texts.integer(flag),
  };
}

/** Makes an option for one of a few names. */
export function choiceOption<const T extends string>(help: string, valid: readonly T[], value = 'NAME'): Option<T> {
  return {
    value,
    type: 'string',
    choices: valid,
    help: `${help}: ${valid.join(', ')}`,
    check(name, chosen) {
      if (!valid.includes(chosen)) throw unknownName(name, chosen, valid);
    },
    read: (texts, flag) => texts.choice(flag, valid),
  };
}

/** Makes an option that is true or false. */
export function switchOption(help: string): Option<boolean> {
  return {
    value: undefined,
    type: 'boolean',
    help,
    check(name, value) {
      if (typeof value !== 'boolean') throw new DpmError('ERR_DPM_ARGUMENT', `${name} has to be true or false`);
    },
    read: (texts, flag) => texts.flag(flag) || undefined,
  };
}

/** Makes an option for a table that the command line reads from a file; its sampler checks it with the schedule. */
export function tableOption<T>(help: string): Option<T> {
  return { value: 'FILE', help, check: () => undefined };
}
