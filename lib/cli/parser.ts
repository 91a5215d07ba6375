import { Command as Parser, CommanderError, Option as ParserOption } from 'commander';

import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { type Call, type Command, type CommandGroup, type OptionSpec, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { OptionValues, type Values } from './option-values.js';
import { output, streams } from './output.js';

const commonOptions: OptionSpecs = {
  json: { group: 'Output', help: 'print JSON for machines' },
};

/** Options of a command with those that every command has, in the order of the help text. */
export function specsOf(command: Command): [string, OptionSpec][] {
  return Object.entries({ ...command.options, ...commonOptions });
}

/** Width of help texts where no terminal says one. */
const PLAIN_WIDTH = 80;

/** Least width of descriptions; narrower ones are left to the terminal. */
const NARROWEST = 16;

/** Makes a parser that prints and ends nothing by itself. */
export function newParser(name: string): Parser {
  const { stdout } = streams();
  const width = 'columns' in stdout && typeof stdout.columns === 'number' ? stdout.columns : PLAIN_WIDTH;
  return new Parser(name)
    .exitOverride()
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .configureHelp({ minWidthToWrap: NARROWEST })
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined, getOutHelpWidth: () => width });
}

/** Refuses an option without its value before the flag of another one, `--out --json`; `--out=--json` is a value. */
function refuseFlagsAsValues(args: readonly string[], specs: readonly [string, OptionSpec][]): void {
  const known = new Map(specs.map(([name, { value }]) => [`--${name}`, value !== undefined]));
  for (let at = 0; at < args.length && args[at] !== '--'; ++at) {
    if (known.get(args[at] ?? '') !== true) continue;
    const [flag, value = ''] = [args[at] ?? '', args[++at]];
    const isFlag = ['-h', '--help'].includes(value) || known.has(/^--[^=]*/.exec(value)?.[0] ?? '');
    if (isFlag)
      throw usageError(`${flag} has no value before ${value}; a value that begins so is given as ${flag}=${value}`);
  }
}

function parserOption([name, spec]: [string, OptionSpec]): ParserOption {
  const { value, isRepeated = false, group, help } = spec;
  const option = new ParserOption(
    value === undefined ? `--${name}` : `--${name} <${value}${isRepeated ? '…' : ''}>`,
    help,
  );
  // A name such as no-page is a switch of its own, not the opposite of another one.
  option.negate = false;
  if (group !== undefined) option.helpGroup(`${group}:`);
  if (!isRepeated) return option;
  return option.argParser<unknown>((text, before) => [...(Array.isArray(before) ? (before as string[]) : []), text]);
}

/** Makes the parser of one command. */
function parserOf(command: Command): Parser {
  const specs = specsOf(command);
  const parser = newParser(`dpm ${command.name}`).description(command.summary).allowExcessArguments();
  parser.usage([...command.arguments, '[options]'].join(' '));
  for (const spec of specs) parser.addOption(parserOption(spec));
  return parser;
}

/** The help text of a command. */
export function commandHelp(command: Command): string {
  return parserOf(command).helpInformation();
}

/** The help text of a group. */
export function groupHelp({ name, summary, commands }: CommandGroup): string {
  const parser = newParser(`dpm ${name}`)
    .description(summary)
    .usage(`${Object.keys(commands).join('|')} [options]`);
  for (const [kind, command] of Object.entries(commands)) parser.command(kind).description(command.summary);
  return `${parser.helpInformation()}\ndpm ${name} KIND --help lists the options of one.\n`;
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

/** Says what the parser refused, in the words of all errors. */
function refusal(command: Command, cause: CommanderError): DpmError {
  const unknown = /unknown option '(-[^']*)'/.exec(cause.message)?.[1];
  const names = specsOf(command).map(([name]) => `--${name}`);
  const problem =
    unknown === undefined
      ? cause.message.replace(/^error: /, '')
      : `there is no option ${unknown}${suggestion(unknown, names)}`;
  return new DpmError('ERR_DPM_USAGE', `${problem} (dpm ${command.name} --help lists the options)`, { cause });
}

/** Checks the number of arguments. */
function requireArguments(command: Command, given: readonly string[]): void {
  const most = command.arguments.at(-1)?.endsWith('…]') === true ? Infinity : command.arguments.length;
  const least = command.arguments.filter((argument) => !argument.startsWith('[')).length;
  if (given.length >= least && given.length <= most) return;
  const expected = command.arguments.join(' ') || 'no argument';
  throw usageError(`dpm ${command.name} takes ${expected}, got: ${given.join(' ') || 'nothing'}`);
}

/** Parses a command's arguments; null for a request for help. */
export function parseCall(command: Command, args: readonly string[], signal: AbortSignal): Call | null {
  refuseFlagsAsValues(args, specsOf(command));
  const parser = parserOf(command);
  try {
    parser.parse([...args], { from: 'user' });
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    if (cause.code === 'commander.helpDisplayed') return null;
    throw refusal(command, cause);
  }
  const values: Values = Object.fromEntries(
    parser.options.map((option) => [option.name(), parser.getOptionValue(option.attributeName()) as Values[string]]),
  );
  requireArguments(command, parser.args);
  const options = new OptionValues(values);
  return { positionals: parser.args, options, json: options.flag('json'), output, signal };
}
