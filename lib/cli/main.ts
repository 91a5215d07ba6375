#!/usr/bin/env node
import { oneLine } from '../base/text.js';
import { interruptSignal, runCommandLine } from './run.js';

// The reader of a pipe may leave early (dpm … | head).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`error [ERR_DPM_FILE]: cannot write to the standard output: ${oneLine(error.message)}\n`);
  process.exit(1);
});

const code = await runCommandLine(process.argv.slice(2), interruptSignal);
// A failure to write that has come meanwhile stays one.
if (code !== 0) process.exitCode = code;
