// The options of a command as `dpm` of the library takes them, and their values as it hands them in.

/** One option of a command; without `value` it is a switch. */
export interface OptionSpec {
  /** Placeholder in the help text, e.g. `N`. */
  readonly value?: string;
  /** True where the option may be given several times. */
  readonly isRepeated?: boolean;
  readonly help: string;
}

/** The options of a command by their names. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The values of a command's options; undefined where an option was not given. A wrong value is an error `ERR_DPM_USAGE`. */
export interface OptionValues {
  /** Tells whether a switch was given. */
  flag(name: string): boolean;
  string(name: string): string | undefined;
  /** The values of an option that may be given several times. */
  strings(name: string): string[] | undefined;
  number(name: string): number | undefined;
  integer(name: string): number | undefined;
  /** The number of bytes, given as `8GiB` or as a number. */
  bytes(name: string): number | undefined;
}
