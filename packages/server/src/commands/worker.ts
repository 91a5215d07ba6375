import type { Call, Command } from './command.js';
import { commonServerOptions, runUntilInterrupted } from './serve.js';

async function work(call: Call): Promise<void> {
  const { Server } = await import('../index.js');
  await runUntilInterrupted(call, (config) => Server.work(config));
}

/** The command `dpm worker`. */
export const workerCommand: Command = {
  name: 'worker',
  arguments: ['[MODEL…]'],
  options: commonServerOptions,
  run: work,
};
