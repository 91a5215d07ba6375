// Files of tests that share processes leave no trace in them (vitest.config.ts).
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { readSources } from './imports.js';

/** Traces of tests that replace modules, or choose a plug-in before the first device is opened: they depend on other files. */
const traces = /\bvi\.(?:mock|doMock)\(|emulated-cuda\.js/;

/** Lists the files of the rooms in vitest.config.ts. */
function sharedFiles(config: string): Map<string, string> {
  const rooms = /const rooms = \[([^\]]*)\]/.exec(config)?.[1]?.match(/[a-z]+/g) ?? [];
  return new Map(
    readSources(
      packagePath('.'),
      rooms.map((room) => `test/lib/${room}`),
    ),
  );
}

describe('tests that share processes', () => {
  const config = readFileSync(packagePath('vitest.config.ts'), 'utf8');
  const files = [...sharedFiles(config)].filter(([path]) => path.endsWith('.test.ts'));

  it('are of rooms that there are', () => {
    expect(files.length).toBeGreaterThan(80);
  });

  it('leave no trace in them, but those that have one of their own', () => {
    const leaving = files.filter(([, text]) => traces.test(text)).map(([path]) => path);
    expect(leaving.filter((path) => !config.includes(`'${path}'`))).toEqual([]);
    expect(leaving.length).toBeGreaterThan(0);
  });
});
