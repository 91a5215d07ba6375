// The form of commands that `dpm` of the library runs. It passes in everything that a command needs of the command line, as the
// library's own parser is not public.
import { DpmError } from 'dpm-native';

import type { OptionSpecs, OptionValues } from '../config/option.js';

/** Writes to standard output. */
export interface Output {
  line(text: string): void;
  /** Writes a value as one line of JSON. */
  json(value: unknown): void;
  /** Writes rows of cells with aligned columns. */
  table(rows: readonly (readonly string[])[]): void;
}

/** A call of a command. */
export interface Call {
  readonly positionals: readonly string[];
  readonly options: OptionValues;
  /** True where the user asked for machine-readable output. */
  readonly json: boolean;
  readonly output: Output;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

/** A command. Its line in the list of commands is in the library, which shows it even where this package is missing. */
export interface Command {
  readonly name: string;
  /** Names of the positional arguments; `[MODEL…]` stands for any number. */
  readonly arguments: readonly string[];
  readonly options: OptionSpecs;
  run(call: Call): Promise<void>;
}

/** A command of a group, with its line in the group's help. */
export interface GroupedCommand extends Command {
  /** A line for the group's help. */
  readonly summary: string;
}

/** Commands that share their first word. */
export interface CommandGroup {
  readonly name: string;
  /** The commands by their second word. */
  readonly commands: Readonly<Record<string, GroupedCommand>>;
}

/** The error for a wrong call. */
export function usageError(message: string): DpmError {
  return new DpmError('ERR_DPM_USAGE', message);
}
