// The commands that `dpm` finds in the server's package: both sides are written down apart, as neither package can import the other's.
import { commands } from 'dpm-native-server/commands';
import { describe, expect, it } from 'vitest';

import { serverSummaries, type ServerCommandName, type ServerCommands } from '../../../lib/cli/server-commands.js';
import { dpm } from '../../support/dpm.js';

/** Does not compile where the package has other commands than `dpm` calls. */
const called: ServerCommands = commands;
const names = Object.keys(serverSummaries) as ServerCommandName[];

describe('commands of the server', () => {
  it('are those that dpm lists', async () => {
    const stdout = (await dpm('--help')).stdout.replace(/\s+/g, ' ');
    for (const [name, summary] of Object.entries(serverSummaries)) {
      expect(stdout).toContain(` ${name} ${summary} `);
    }
    expect(Object.keys(called)).toEqual(names);
    expect(names.map((name) => called[name].name)).toEqual(names);
  });

  it.each(['serve', 'worker'] as const)('have a help: dpm %s', async (name) => {
    const { stdout, code } = await dpm(name, '--help');
    expect(code).toBe(0);
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      `Usage: dpm ${name} [MODEL…] [options] ${serverSummaries[name]} Options: `,
    );
    for (const option of Object.keys(called[name].options))
      expect(stdout).toMatch(new RegExp(`^ {2}--${option} `, 'm'));
  });

  it('have a help: dpm jobs', async () => {
    const { stdout, code } = await dpm('jobs', '--help');
    expect(code).toBe(0);
    const usage = 'Usage: dpm jobs list|show|retry|cancel|purge [options]';
    expect(stdout.replace(/\s+/g, ' ')).toContain(`${usage} ${serverSummaries.jobs} `);
    for (const [kind, { name, summary }] of Object.entries(called.jobs.commands)) {
      expect(name).toBe(`jobs ${kind}`);
      const help = (await dpm('jobs', kind, '--help')).stdout.replace(/\s+/g, ' ');
      expect(help).toContain(` [options] ${summary} `);
    }
  });
});
