// The reference of commands in docs/, made from their help texts. `npm run format` writes it (scripts/tables.ts).
import { PassThrough } from 'node:stream';

import type { Command } from '../../lib/cli/command.js';
import { withStreams } from '../../lib/cli/output.js';
import { commandHelp } from '../../lib/cli/parser.js';
import { commands, listCommands } from '../../lib/cli/registry.js';

/** Path of the document. */
export const referenceFile = 'docs/commands.md';

function section(level: string, command: Command): string {
  return `${level} dpm ${command.name}\n\n\`\`\`text\n${commandHelp(command)}\`\`\`\n`;
}

async function sectionsOf(name: string): Promise<string[]> {
  const loaded = await commands[name]?.();
  if (loaded === undefined) throw new Error(`there is no command ${name}`);
  if (!('commands' in loaded)) return [section('###', loaded)];
  return Object.values(loaded.commands).map((command) => section('###', command));
}

/** Makes the document: every command under the heading that `dpm --help` lists it under. */
export async function commandReference(): Promise<string> {
  const parts = [
    '# Commands\n',
    'What `dpm COMMAND --help` says of each, for all of them. [Command line](command-line.md) shows them at work.\n',
  ];
  let last = '';
  for (const { heading, name } of await listCommands()) {
    if (heading !== last) parts.push(`## ${heading}\n`);
    last = heading;
    // Without a terminal, whose width would change the lines.
    const stdout = new PassThrough();
    parts.push(...(await withStreams({ stdout, stderr: stdout }, () => sectionsOf(name))));
  }
  return parts.join('\n');
}
