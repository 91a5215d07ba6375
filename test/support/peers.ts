// Programs in Python that ask another library for the same thing: scripts/setup --peers brings the libraries.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { packagePath } from './temporary.js';

const libraries = packagePath('.toolchain/peers');

/** Why a test of a library has to be skipped, or null. */
export function absentPeer(name: string): string | null {
  if (existsSync(join(libraries, name))) return null;
  return `skipped: there is no ${name}, which scripts/setup --peers brings`;
}

/** Gives a program of test/fixtures the request as JSON; returns the JSON that it writes. */
export function askPeer(program: string, request: object): unknown {
  const python = packagePath('.toolchain/python/bin/python3');
  const env = { ...process.env, PYTHONPATH: libraries, PYTHONDONTWRITEBYTECODE: '1' };
  const stdio: ['pipe', 'pipe', 'ignore'] = ['pipe', 'pipe', 'ignore'];
  const options = { env, stdio, input: JSON.stringify(request), maxBuffer: 64 << 20 };
  return JSON.parse(execFileSync(python, [packagePath(`test/fixtures/${program}`)], options).toString());
}
