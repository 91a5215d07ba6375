import { execFile } from 'node:child_process';

import { packagePath } from './temporary.js';

/** The built command. */
export const dpmMain = packagePath('dist/cli/main.js');

/** Every command. */
export const commandNames = [
  'devices',
  'inspect',
  'graph',
  'convert',
  'forward',
  'gradient',
  'translate',
  'sample',
  'gamma',
  'costs',
  'classify',
  'nll',
  'plot',
  'bench',
];

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the `dpm` command to its end. */
export function dpm(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [dpmMain, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}
