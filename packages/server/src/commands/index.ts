// `dpm-native-server/commands`: what `dpm` finds here. Its help does not wait for the server, which is loaded when a command runs.
import { jobsCommands } from './jobs.js';
import { serveCommand } from './serve.js';
import { workerCommand } from './worker.js';

/** The commands by the first word of their command line. */
export const commands = { serve: serveCommand, worker: workerCommand, jobs: jobsCommands } as const;
