import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { askPython } from './python.js';
import { packagePath } from './temporary.js';

const libraries = packagePath('.toolchain/peers');

/** Why a test of a library has to be skipped, or null. */
export function absentPeer(name: string): string | null {
  if (existsSync(join(libraries, name))) return null;
  return `skipped: there is no ${name}, which scripts/setup --peers brings`;
}

/** Gives a program of test/fixtures that uses such libraries the request as JSON; returns the JSON that it writes. */
export function askPeer(program: string, request: object): unknown {
  return askPython('peers', `test/fixtures/${program}`, { request });
}
