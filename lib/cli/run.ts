import { createRequire } from 'node:module';

import { suggestion } from '../base/checks.js';
import { toDpmError, type DpmError } from '../base/errors.js';
import {
  commandHelp,
  groupCommand,
  groupHelp,
  parseCall,
  usageError,
  type Command,
  type CommandGroup,
} from './command.js';
import { printLine, printNote } from './output.js';
import { serverCommand, serverSummaries, type ServerCommandName } from './server-commands.js';

/** Commands, loaded when called, so that `dpm --help` does not wait for the engine. */
const ownCommands: Readonly<Record<string, () => Promise<Command | CommandGroup>>> = {
  devices: async () => (await import('./devices.js')).devicesCommand,
  inspect: async () => (await import('./inspect.js')).inspectCommand,
  graph: async () => (await import('./graph.js')).graphCommand,
  forward: async () => (await import('./forward.js')).forwardCommand,
  translate: async () => (await import('./translate.js')).translateCommand,
  gradient: async () => (await import('./gradient.js')).gradientCommand,
  convert: async () => (await import('./convert.js')).convertCommand,
  sample: async () => (await import('./sample.js')).sampleCommand,
  train: async () => (await import('./train.js')).trainCommand,
  generate: async () => (await import('./generate.js')).generateCommand,
  tokens: async () => (await import('./tokens.js')).tokensCommand,
  gamma: async () => (await import('./gamma.js')).gammaCommand,
  costs: async () => (await import('./costs.js')).costsCommand,
  classify: async () => (await import('./classify.js')).classifyCommand,
  nll: async () => (await import('./nll.js')).nllCommand,
  plot: async () => (await import('./plot.js')).plotCommands,
  bench: async () => (await import('./bench.js')).benchCommand,
};

const serverNames = Object.keys(serverSummaries) as ServerCommandName[];

const commands: typeof ownCommands = {
  ...ownCommands,
  ...Object.fromEntries(serverNames.map((name) => [name, () => serverCommand(name)])),
};

async function printHelp(): Promise<void> {
  printLine('Usage: dpm COMMAND [options]\n\nCommands:');
  const own = await Promise.all(Object.values(ownCommands).map((load) => load()));
  const listed = [...own.map(({ name, summary }) => [name, summary] as const), ...Object.entries(serverSummaries)];
  for (const [name, summary] of listed) printLine(`  ${name.padEnd(8)}  ${summary}`);
  printLine('\ndpm COMMAND --help lists the options of a command.');
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
  if (name === '--version') {
    printLine(version());
    return;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    const names = Object.keys(commands);
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
