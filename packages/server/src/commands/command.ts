// What `dpm` of the library takes as a command. It hands in all that a command needs of the command line: the library's own is no part
// of its public names.
import { DpmError } from 'dpm-native';

import type { OptionSpecs, OptionValues } from '../config/option.js';

/** Writes to standard output. */
export interface Output {
  line(text: string): void;
  /** One line of JSON. */
  json(value: unknown): void;
  /** Rows of cells with aligned columns. */
  table(rows: readonly (readonly string[])[]): void;
}

/** What a command is called with. */
export interface Call {
  readonly positionals: readonly string[];
  readonly options: OptionValues;
  /** Machine-readable output was asked for. */
  readonly json: boolean;
  readonly output: Output;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

/** A command; what the list of commands says of it is the library's, which has it also where this package is missing. */
export interface Command {
  readonly name: string;
  /** Names of the positional arguments; `[MODEL…]`: any number of them. */
  readonly arguments: readonly string[];
  readonly options: OptionSpecs;
  run(call: Call): Promise<void>;
}

/** A command of a group, which tells of itself in the group's help. */
export interface GroupedCommand extends Command {
  /** One line. */
  readonly summary: string;
}

/** Commands of a common first word. */
export interface CommandGroup {
  readonly name: string;
  /** By their second word. */
  readonly commands: Readonly<Record<string, GroupedCommand>>;
}

/** The error for a wrong call. */
export function usageError(message: string): DpmError {
  return new DpmError('ERR_DPM_USAGE', message);
}
