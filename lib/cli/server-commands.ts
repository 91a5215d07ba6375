import { DpmError } from '../base/errors.js';
import type { Command, CommandGroup } from './command.js';

/** Summaries of the commands of the server's package for the list of commands, even if the package is missing. */
export const serverSummaries = {
  serve: 'Serves models over HTTP: requests share one running batch. Needs the package dpm-native-server.',
  worker: 'Draws the jobs of a queue with models of its own. Needs the packages dpm-native-server, bullmq and ioredis.',
  jobs: 'Looks at jobs of a spool or a queue, and changes them. Needs the package dpm-native-server.',
} as const;

/** A command of the server's package. */
export type ServerCommandName = keyof typeof serverSummaries;

/** Export `commands` of `dpm-native-server/commands`. That package uses this one, so it cannot be imported here. */
export interface ServerCommands {
  readonly serve: Omit<Command, 'summary'>;
  readonly worker: Omit<Command, 'summary'>;
  readonly jobs: Omit<CommandGroup, 'summary'>;
}

const packageName = 'dpm-native-server';

/** Loads a command. @throws {@link DpmError} `ERR_DPM_USAGE` if the package is not installed. */
export async function serverCommand(name: ServerCommandName): Promise<Command | CommandGroup> {
  try {
    const { commands } = (await import(`${packageName}/commands`)) as { commands: ServerCommands };
    return { ...commands[name], summary: serverSummaries[name] };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new DpmError('ERR_DPM_USAGE', `the server is a package of its own: npm install ${packageName}`, { cause });
  }
}
