import { execFile } from 'node:child_process';
import { Writable } from 'node:stream';

import { withStreams } from '../../lib/cli/output.js';
import { runCommandLine } from '../../lib/cli/run.js';
import { packagePath } from './temporary.js';

/** The built command. */
export const dpmMain = packagePath('dist/cli/main.js');

/** Names of all commands. */
export const commandNames = [
  'devices',
  'inspect',
  'graph',
  'convert',
  'forward',
  'gradient',
  'translate',
  'sample',
  'samplers',
  'train',
  'generate',
  'tokens',
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

/** Collector of a stream's data. */
class Collector extends Writable {
  readonly #parts: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  override _write(part: Buffer, _: BufferEncoding, done: () => void): void {
    this.#parts.push(part);
    done();
  }
}

/** Runs a `dpm` command to its end in this process, from the sources. Standard output as bytes. */
export async function dpmBytes(...args: string[]): Promise<{ code: number; stdout: Buffer; stderr: string }> {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const interrupt = (): AbortSignal => new AbortController().signal;
  const code = await withStreams({ stdout, stderr }, () => runCommandLine(args, interrupt));
  return { code, stdout: stdout.bytes, stderr: stderr.bytes.toString() };
}

/** The same with text. */
export async function dpm(...args: string[]): Promise<Outcome> {
  const { stdout, ...rest } = await dpmBytes(...args);
  return { ...rest, stdout: stdout.toString() };
}

/** Runs the built `dpm` command to its end, as a process of its own: for what processes alone have. */
export function dpmProcess(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [dpmMain, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}
