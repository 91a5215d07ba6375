import { RootCommand, script, ShellCompDirective, type Command as CompletedCommand } from '@bomb.sh/tab';

import { bundledModels } from '../checkpoint/model-path.js';
import type { Command, OptionSpec } from './command.js';
import { printLine } from './output.js';
import { specsOf } from './parser.js';
import { commands, listCommands } from './registry.js';
import { usageError } from './usage-error.js';

/** Name of the command that prints the scripts of shells and answers these. */
export const COMPLETION = 'complete';

export const completionSummary =
  'Prints the script by which a shell completes dpm: bash, zsh, fish or powershell. In bash: source <(dpm complete bash).';

const shells = ['bash', 'zsh', 'fish', 'powershell'];

/** Completions of names; where none is known, shells complete files. */
function handler(names: readonly string[]): (complete: (value: string, description: string) => void) => void {
  return (complete) => {
    for (const name of names) complete(name, '');
  };
}

function addOption(command: CompletedCommand, name: string, { value, choices = [], help }: OptionSpec): void {
  if (value === undefined) command.option(name, help);
  else command.option(name, help, handler(choices));
}

function addCommand(root: RootCommand, words: string, command: Command): void {
  const completed = root.command(words, command.summary);
  for (const [name, spec] of specsOf(command)) addOption(completed, name, spec);
  completed.option('help', 'print this help');
  for (const argument of command.arguments) {
    const isModel = argument.includes('MODEL');
    completed.argument(argument, handler(isModel ? bundledModels : []), argument.endsWith('…]'));
  }
}

/** Adds a command that is installed, with all its options. */
async function addWhole(root: RootCommand, name: string): Promise<void> {
  const loaded = await commands[name]?.();
  if (loaded === undefined) return;
  if (!('commands' in loaded)) {
    addCommand(root, name, loaded);
    return;
  }
  for (const [kind, command] of Object.entries(loaded.commands)) addCommand(root, `${name} ${kind}`, command);
}

/** Prints what words can be completed to. */
async function answer(words: readonly string[]): Promise<void> {
  const root = new RootCommand();
  for (const { name, summary } of await listCommands()) root.command(name, summary);
  const [first = ''] = words;
  if (words.length > 1 && Object.hasOwn(commands, first)) await addWhole(root, first);
  const last = words.at(-1) ?? '';
  // The library tells shells never to complete files; where nothing of ours fits, the word can be one.
  const directive = (): number =>
    root.completions.some(({ value }) => value.startsWith(last))
      ? ShellCompDirective.ShellCompDirectiveNoFileComp
      : ShellCompDirective.ShellCompDirectiveDefault;
  Object.defineProperty(root, 'directive', { get: directive, set: () => undefined });
  root.parse([...words]);
}

/**
 * Prints the script of a shell, or, for `-- WORDS`, what the last of the words can become.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` for another shell.
 */
export async function complete([shell = '', ...words]: readonly string[]): Promise<void> {
  if (shell === '--') return answer(words);
  if (shell === '--help' || shell === '-h') {
    printLine(`Usage: dpm ${COMPLETION} ${shells.join('|')}\n\n${completionSummary}`);
    return;
  }
  if (!shells.includes(shell))
    throw usageError(`dpm ${COMPLETION} takes one of ${shells.join(', ')}, got: ${shell || 'nothing'}`);
  script(shell, 'dpm', 'dpm');
  // Where nothing of ours fits, bash is to complete files, which the library's script leaves out.
  if (shell === 'bash') process.stdout.write('complete -o default -o bashdefault -F __dpm_complete dpm\n');
}
