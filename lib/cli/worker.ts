import type { Call, Command } from './command.js';
import { commonServerOptions, runUntilInterrupted } from './serve.js';
import { serverPackage } from './server-package.js';

async function work(call: Call): Promise<void> {
  const http = await serverPackage();
  await runUntilInterrupted(call, http, (config) => http.Server.work(config), { reloads: false });
}

export const workerCommand: Command = {
  name: 'worker',
  summary:
    'Draws the jobs of a queue with models of its own. Needs the packages dpm-native-server, bullmq and ioredis.',
  arguments: ['[MODEL…]'],
  options: commonServerOptions,
  run: work,
};
