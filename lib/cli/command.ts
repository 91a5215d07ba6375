import { parseArgs } from 'node:util';

import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { helpOf, type OptionFact } from '../base/option-facts.js';
import { byteUnits, printJson, printLine, printTable } from './output.js';

/** Option of a command; without `value` it is a switch. */
export interface OptionSpec {
  /** Placeholder in the help text, e.g. `N`. */
  value?: string;
  /** True if it may be given several times. */
  isRepeated?: boolean;
  help: string;
}

/** Gives the flag of an option of the library: `t-start` of `tStart`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** An option of the library as a flag; `help` is for commands that say it better than the facts do. */
export function specOf(fact: OptionFact, help: string = fact.help): OptionSpec {
  return { ...(fact.value !== undefined && { value: fact.value }), help: helpOf({ ...fact, help }) };
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** Writes to standard output, for commands of other packages. */
export interface Output {
  line(text: string): void;
  json(value: unknown): void;
  table(rows: readonly (readonly string[])[]): void;
}

const output: Output = { line: printLine, json: printJson, table: printTable };

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

const commonOptions: OptionSpecs = {
  json: { help: 'print JSON for machines' },
  help: { help: 'print this help, as -h does' },
};

export function usageError(message: string): DpmError {
  return new DpmError('ERR_DPM_USAGE', message);
}

/** Values as given; those of options that may be given several times as arrays. */
type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

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
    if (found === undefined) throw usageError(`--${name} is '${text}', it has to be one of ${valid.join(', ')}`);
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

/** The help text of a command. */
export function commandHelp(command: Command): string {
  const specs = Object.entries({ ...command.options, ...commonOptions });
  const titles = specs.map(([name, { value, isRepeated = false }]) =>
    value === undefined ? `--${name}` : `--${name} ${value}${isRepeated ? '…' : ''}`,
  );
  const width = Math.max(...titles.map((title) => title.length));
  const lines = specs.map(([, { help }], i) => `  ${(titles[i] ?? '').padEnd(width)}  ${help}`);
  return [
    `Usage: dpm ${[command.name, ...command.arguments].join(' ')} [options]`,
    '',
    command.summary,
    '',
    'Options:',
    ...lines,
    '',
  ].join('\n');
}

/** The help text of a group. */
export function groupHelp({ name, summary, commands }: CommandGroup): string {
  const width = Math.max(...Object.keys(commands).map((kind) => kind.length));
  return [
    `Usage: dpm ${name} ${Object.keys(commands).join('|')} [options]`,
    '',
    summary,
    '',
    ...Object.entries(commands).map(([kind, command]) => `  ${kind.padEnd(width)}  ${command.summary}`),
    '',
    `dpm ${name} KIND --help lists the options of one.`,
    '',
  ].join('\n');
}

/** Finds the command of a group that arguments begin with; null for a request for help. */
export function groupCommand(group: CommandGroup, [kind, ...args]: readonly string[]): [Command, string[]] | null {
  if (kind === '--help' || kind === '-h') return null;
  const kinds = Object.keys(group.commands).join(', ');
  if (kind === undefined) throw usageError(`dpm ${group.name} takes one of ${kinds}`);
  const command = Object.hasOwn(group.commands, kind) ? group.commands[kind] : undefined;
  if (command === undefined)
    throw usageError(
      `'${kind}' is not something to ${group.name}${suggestion(kind, Object.keys(group.commands))}; use one of ${kinds}`,
    );
  return [command, args];
}

/** Parses a command's arguments; null for a request for help. */
export function parseCall(command: Command, args: readonly string[], signal: AbortSignal): Call | null {
  const specs = { ...command.options, ...commonOptions };
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { value, isRepeated = false }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: isRepeated,
        ...(name === 'help' && { short: 'h' }),
      },
    ]),
  );
  let parsed: { values: Values; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const unknown = /^Unknown option '--([\w-]+)'/.exec(reason)?.[1];
    const problem =
      unknown === undefined ? reason : `there is no option --${unknown}${suggestion(unknown, Object.keys(specs))}`;
    throw new DpmError('ERR_DPM_USAGE', `${problem} (dpm ${command.name} --help lists the options)`, { cause });
  }
  const values = new OptionValues(parsed.values);
  if (values.flag('help')) return null;
  const most = command.arguments.at(-1)?.endsWith('…]') === true ? Infinity : command.arguments.length;
  const least = command.arguments.filter((argument) => !argument.startsWith('[')).length;
  if (parsed.positionals.length < least || parsed.positionals.length > most) {
    const expected = command.arguments.join(' ') || 'no argument';
    throw usageError(`dpm ${command.name} takes ${expected}, got: ${parsed.positionals.join(' ') || 'nothing'}`);
  }
  return { positionals: parsed.positionals, options: values, json: values.flag('json'), output, signal };
}
