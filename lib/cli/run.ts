import { createRequire } from 'node:module';

import { suggestion } from '../base/checks.js';
import { toDpmError, type DpmError } from '../base/errors.js';
import type { Command } from './command.js';
import { complete, COMPLETION, completionSummary } from './completion.js';
import { printLine, printNote } from './output.js';
import { commandHelp, groupCommand, groupHelp, newParser, parseCall } from './parser.js';
import { commands, listCommands } from './registry.js';
import { usageError } from './usage-error.js';

const beginning = `Begin with:
  dpm generate emoji "a cat on blue"   draws what words say, with a model that this package brings
  dpm sample mnist --count 64          draws digits, with another one
  dpm samplers                         lists the ways to draw
  dpm inspect MODEL                    says what a file or folder of your own is
  dpm serve mnist                      opens a page and HTTP, with the package dpm-native-server`;

async function printHelp(): Promise<void> {
  const parser = newParser('dpm').usage('COMMAND [options]').option('-v, --version', 'print the version');
  for (const { heading, name, summary } of await listCommands())
    parser.command(name).description(summary).helpGroup(`${heading}:`);
  parser.command(COMPLETION).description(completionSummary).helpGroup('Shell:');
  const [usage, ...rest] = parser.helpInformation().trimEnd().split('\n\n');
  printLine([usage, beginning, ...rest, 'dpm COMMAND --help lists the options of a command.'].join('\n\n'));
}

function version(): string {
  const require = createRequire(import.meta.url);
  return (require('../../package.json') as { version: string }).version;
}

/** Gives the signal that interrupts a command; called when one begins to work. */
export type Interrupt = () => AbortSignal;

async function runCommand(command: Command, args: readonly string[], interrupt: Interrupt): Promise<void> {
  const call = parseCall(command, args, interrupt());
  if (call === null) printLine(commandHelp(command));
  else await command.run(call);
}

async function run(args: readonly string[], interrupt: Interrupt): Promise<void> {
  const [name = '--help', ...rest] = args;
  if (name === '--help' || name === '-h' || name === 'help') {
    // Help by `dpm help sample` is that of `dpm sample --help`.
    await (rest.length > 0 && name === 'help' ? run([...rest, '--help'], interrupt) : printHelp());
    return;
  }
  if (name === '--version' || name === '-v') {
    printLine(version());
    return;
  }
  if (name === COMPLETION) {
    await complete(rest);
    return;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    const names = [...Object.keys(commands), COMPLETION];
    throw usageError(`'${name}' is not a command${suggestion(name, names)}; commands: ${names.join(', ')}`);
  }
  const loaded = await load();
  if (!('commands' in loaded)) {
    await runCommand(loaded, rest, interrupt);
    return;
  }
  const chosen = groupCommand(loaded, rest);
  if (chosen === null) printLine(groupHelp(loaded));
  else await runCommand(...chosen, interrupt);
}

/** Gives 2 for a wrong call, 130 if interrupted, 1 if the work failed. */
function exitCode({ code }: DpmError): number {
  if (code === 'ERR_DPM_USAGE' || code === 'ERR_DPM_ARGUMENT') return 2;
  return code === 'ERR_DPM_ABORTED' ? 130 : 1;
}

/**
 * Runs one command line, and reports an error in one line on the standard error.
 *
 * @param args - Words after `dpm`.
 * @returns The exit code: 0, 2 for a wrong call, 130 if interrupted, 1 if the work failed.
 */
export async function runCommandLine(args: readonly string[], interrupt: Interrupt): Promise<number> {
  try {
    await run(args, interrupt);
    return 0;
  } catch (error) {
    const failure = toDpmError(error);
    printNote(`error [${failure.code}]: ${failure.message}`);
    // eslint-disable-next-line @typescript-eslint/dot-notation -- the environment is an index signature
    if (process.env['DPM_DEBUG'] === '1') printNote(failure.stack ?? '');
    return exitCode(failure);
  }
}

/**
 * The signals that end a command. On Windows Ctrl+Break is SIGBREAK and a console that is closed SIGHUP, which elsewhere makes a server read
 * its configuration; nothing sends SIGTERM there.
 */
export function endingSignals(platform: NodeJS.Platform = process.platform): NodeJS.Signals[] {
  return platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM'];
}

/** A signal that aborts on the first interrupt; the second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Error('interrupted'));
  };
  for (const name of endingSignals()) process.on(name, interrupt);
  return controller.signal;
}
