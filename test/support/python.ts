// Programs in Python that ask another library for the same thing; scripts/setup brings the libraries.
import { execFileSync } from 'node:child_process';

import { packagePath } from './temporary.js';

/** What a program is given: words behind its name, and JSON at its standard input. */
interface Asked {
  words?: readonly string[];
  request?: unknown;
}

/** Runs a program with the packages in a folder of .toolchain; returns the JSON that it writes. */
export function askPython(library: string, program: string, { words = [], request = null }: Asked): unknown {
  const env = { ...process.env, PYTHONPATH: packagePath(`.toolchain/${library}`), PYTHONDONTWRITEBYTECODE: '1' };
  const python = packagePath('.toolchain/python/bin/python3');
  // Warnings of libraries are not shown, but belong to the error of a program that fails.
  const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe'];
  const options = { env, stdio, input: JSON.stringify(request), maxBuffer: 64 << 20 };
  return JSON.parse(execFileSync(python, [packagePath(program), ...words], options).toString());
}
