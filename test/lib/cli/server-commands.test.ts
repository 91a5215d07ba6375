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
    const { stdout } = await dpm('--help');
    for (const [name, summary] of Object.entries(serverSummaries)) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary}$`, 'm'));
    }
    expect(Object.keys(called)).toEqual(names);
    expect(names.map((name) => called[name].name)).toEqual(names);
  });

  it.each(['serve', 'worker'] as const)('have a help: dpm %s', async (name) => {
    const { stdout, code } = await dpm(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: dpm ${name} [MODEL…] [options]\n\n${serverSummaries[name]}\n\nOptions:\n`);
    for (const option of Object.keys(called[name].options))
      expect(stdout).toMatch(new RegExp(`^ {2}--${option} `, 'm'));
  });

  it('have a help: dpm jobs', async () => {
    const { stdout, code } = await dpm('jobs', '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: dpm jobs list|show|retry|cancel|purge [options]\n\n${serverSummaries.jobs}\n`);
    for (const [kind, { name, summary }] of Object.entries(called.jobs.commands)) {
      expect(name).toBe(`jobs ${kind}`);
      expect((await dpm('jobs', kind, '--help')).stdout).toContain(`\n\n${summary}\n\n`);
    }
  });
});
