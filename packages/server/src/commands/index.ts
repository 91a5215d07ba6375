// The module `dpm-native-server/commands`, which `dpm` imports. It loads the server only when a command runs, so that help is fast.
import { jobsCommands } from './jobs.js';
import { serveCommand } from './serve.js';
import { workerCommand } from './worker.js';

/** The commands by the first word of their command line. */
export const commands = { serve: serveCommand, worker: workerCommand, jobs: jobsCommands } as const;
