import { helpOf, type OptionFact } from '../base/option-facts.js';
import type { OptionValues } from './option-values.js';
import type { Output } from './output.js';

/** Option of a command; without `value` it is a switch. */
export interface OptionSpec {
  /** Placeholder in the help text, e.g. `N`. */
  value?: string;
  /** True if it may be given several times. */
  isRepeated?: boolean;
  /** Valid values, which shells complete. */
  choices?: readonly string[];
  /** Heading of the help text that it stands under. */
  group?: string;
  help: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** Gives the flag of an option of the library: `t-start` of `tStart`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** An option of the library as a flag; `help` is for commands that say it better than the facts do. */
export function specOf(fact: OptionFact, help: string = fact.help): OptionSpec {
  const names = fact.kind.schema?.enum;
  const choices = Array.isArray(names) ? names.map(String) : undefined;
  return {
    ...(fact.value !== undefined && { value: fact.value }),
    ...(choices !== undefined && { choices }),
    help: helpOf({ ...fact, help }),
  };
}

/** Puts options under a heading of the help text, but for those that stand under one. */
export function grouped(group: string, specs: OptionSpecs): OptionSpecs {
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, { group, ...spec }]));
}

/** Arguments and surroundings of a command's call. */
export interface Call {
  positionals: readonly string[];
  options: OptionValues;
  /** True if machine-readable output was requested. */
  json: boolean;
  output: Output;
  /** Signal that aborts when the user interrupts. */
  signal: AbortSignal;
}

export interface Command {
  name: string;
  /** Summary, one line for the list of commands. */
  summary: string;
  /** Names of the positional arguments, e.g. `MODEL`; the last ones can be optional, `[MODEL]`, and the last several, `[MODEL…]`. */
  arguments: readonly string[];
  options: OptionSpecs;
  run(call: Call): Promise<void>;
}

/** Commands of a common first word, `dpm plot KIND`. */
export interface CommandGroup {
  name: string;
  summary: string;
  /** Commands by their second word. */
  commands: Readonly<Record<string, Command>>;
}
