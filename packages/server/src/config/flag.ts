import type { OptionSpec, OptionSpecs, OptionValues } from './option.js';

/** An option of the command line that says what a field of the configuration is. */
export interface Flag {
  /** The name of the option, if it is not the field's name (`max-wait` for `maxWait`). */
  readonly name?: string;
  /** Placeholder in the help text; without it the flag is a switch. */
  readonly value?: string;
  /** True where the flag may be given several times. */
  readonly isRepeated?: boolean;
  /** The help text, if the flag says something else than the field. */
  readonly help?: string;
  /** Reads the field from the option of this name; undefined where it was not given. */
  read(options: OptionValues, name: string): unknown;
  /** A default as one writes it on the command line. */
  readonly shown?: (standard: unknown) => string;
}

/** A flag for a text, which the field's schema checks. */
export function textFlag(value: string): Flag {
  return { value, read: (options, name) => options.string(name) };
}

/** A flag for texts, which is given once for each. */
export function textsFlag(value: string): Flag {
  return { value, isRepeated: true, read: (options, name) => options.strings(name) };
}

/** A flag for an integer. */
export function integerFlag(value: string): Flag {
  return { value, read: (options, name) => options.integer(name) };
}

/** A flag for an integer or a word that stands for one. */
export function integerOrWordFlag(value: string, words: readonly string[]): Flag {
  return {
    value,
    read(options, name) {
      const text = options.string(name);
      return words.find((word) => word === text) ?? options.integer(name);
    },
  };
}

/** A flag for a number of bytes, as `8GiB`. */
export function bytesFlag(value: string): Flag {
  return { value, read: (options, name) => options.bytes(name) };
}

/** A flag for milliseconds that are given in another unit. */
export function timeFlag(value: string, unit: number): Flag {
  return {
    value,
    read(options, name) {
      const count = options.number(name);
      return count === undefined ? undefined : unit * count;
    },
    shown: (standard) => String((standard as number) / unit),
  };
}

/** A switch that makes a field true. */
export function switchFlag(): Flag {
  return { read: (options, name) => (options.flag(name) ? true : undefined) };
}

/** A switch that makes a field false: `--no-page`. */
export function offSwitchFlag(name: string, help: string): Flag {
  return { name, help, read: (options, flag) => (options.flag(flag) ? false : undefined) };
}

/** What there is to know of a field beside its schema. */
export interface DescribedField {
  /** Description of the field, in one line without its default. */
  readonly help: string;
  /** The option of the command line; absent: only a configuration file has it. */
  readonly flag?: Flag;
  readonly standard?: unknown;
}

/** The name of a field's flag: `max-wait` for `maxWait`. */
export function flagName(field: string, { name }: Flag): string {
  return name ?? field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The default that a help text tells; lists are empty then, and what has no limit has no figure. */
function toldStandard({ value, shown = String }: Flag, standard: unknown): string | null {
  const isTold = value !== undefined && (typeof standard === 'string' || Number.isFinite(standard));
  return isTold ? shown(standard) : null;
}

function specOf(flag: Flag, { help, standard }: DescribedField): OptionSpec {
  const { value, isRepeated } = flag;
  const told = toldStandard(flag, standard);
  return {
    ...(value !== undefined && { value }),
    ...(isRepeated !== undefined && { isRepeated }),
    help: `${flag.help ?? help}${told === null ? '' : `; default ${told}`}`,
  };
}

type DescribedFields = Readonly<Record<string, DescribedField>>;

/** The options of the command line for fields, in their order. */
export function optionSpecs(fields: DescribedFields): OptionSpecs {
  const given = Object.entries(fields);
  return Object.fromEntries(
    given.flatMap(([name, field]) =>
      field.flag === undefined ? [] : [[flagName(name, field.flag), specOf(field.flag, field)] as const],
    ),
  );
}

/** The fields that the command line gives, not yet checked. Fields that it does not give are absent. */
export function givenFields(fields: DescribedFields, options: OptionValues): Record<string, unknown> {
  const values = Object.entries(fields).map(
    ([name, { flag }]) => [name, flag?.read(options, flagName(name, flag))] as const,
  );
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}
