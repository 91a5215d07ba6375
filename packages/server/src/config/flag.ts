import type { OptionSpec, OptionSpecs, OptionValues } from './option.js';

/** An option of the command line that says what a field of the configuration is. */
export interface Flag {
  /** The name of the option, if it is not the field's name (`max-wait` for `maxWait`). */
  readonly name?: string;
  /** Placeholder in the help text; without it the flag is a switch. */
  readonly value?: string;
  /** True where the flag may be given several times. */
  readonly isRepeated?: boolean;
  /** The help text, or a function that makes it from the field's default as one writes it on the command line. */
  readonly help: string | ((standard: string) => string);
  /** Reads the field from the option of this name; undefined where it was not given. */
  read(options: OptionValues, name: string): unknown;
  /** A default as one writes it on the command line. */
  readonly shown?: (standard: unknown) => string;
}

type Help = Flag['help'];

/** A flag for a text, which the field's schema checks. */
export function textFlag(value: string, help: Help): Flag {
  return { value, help, read: (options, name) => options.string(name) };
}

/** A flag for texts, which is given once for each. */
export function textsFlag(value: string, help: Help): Flag {
  return { value, isRepeated: true, help, read: (options, name) => options.strings(name) };
}

/** A flag for an integer. */
export function integerFlag(value: string, help: Help): Flag {
  return { value, help, read: (options, name) => options.integer(name) };
}

/** A flag for an integer or a word that stands for one. */
export function integerOrWordFlag(value: string, words: readonly string[], help: Help): Flag {
  return {
    value,
    help,
    read(options, name) {
      const text = options.string(name);
      return words.find((word) => word === text) ?? options.integer(name);
    },
  };
}

/** A flag for a number of bytes, as `8GiB`. */
export function bytesFlag(value: string, help: Help): Flag {
  return { value, help, read: (options, name) => options.bytes(name) };
}

/** A flag for milliseconds that are given in another unit. */
export function timeFlag(value: string, unit: number, help: Help): Flag {
  return {
    value,
    help,
    read(options, name) {
      const count = options.number(name);
      return count === undefined ? undefined : unit * count;
    },
    shown: (standard) => String((standard as number) / unit),
  };
}

/** A switch that makes a field true. */
export function switchFlag(help: string): Flag {
  return { help, read: (options, name) => (options.flag(name) ? true : undefined) };
}

/** A switch that makes a field false: `--no-page`. */
export function offSwitchFlag(name: string, help: string): Flag {
  return { name, help, read: (options, flag) => (options.flag(flag) ? false : undefined) };
}

/** The part of a field that its flag needs. */
interface Flagged {
  readonly flag?: Flag;
  readonly standard?: unknown;
}

/** The name of a field's flag: `max-wait` for `maxWait`. */
function nameOf(field: string, { name }: Flag): string {
  return name ?? field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function specOf({ value, isRepeated, help, shown = String }: Flag, standard: unknown): OptionSpec {
  return {
    ...(value !== undefined && { value }),
    ...(isRepeated !== undefined && { isRepeated }),
    help: typeof help === 'string' ? help : help(shown(standard)),
  };
}

function flagsOf(fields: Readonly<Record<string, Flagged>>): { field: string; flag: Flag; standard: unknown }[] {
  return Object.entries(fields).flatMap(([field, { flag, standard }]) =>
    flag === undefined ? [] : [{ field, flag, standard }],
  );
}

/** The options of the command line for fields, in their order. */
export function optionSpecs(fields: Readonly<Record<string, Flagged>>): OptionSpecs {
  return Object.fromEntries(
    flagsOf(fields).map(({ field, flag, standard }) => [nameOf(field, flag), specOf(flag, standard)]),
  );
}

/** The fields that the command line gives, not yet checked. Fields that it does not give are absent. */
export function givenFields(fields: Readonly<Record<string, Flagged>>, options: OptionValues): Record<string, unknown> {
  const values = flagsOf(fields).map(({ field, flag }) => [field, flag.read(options, nameOf(field, flag))] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}
