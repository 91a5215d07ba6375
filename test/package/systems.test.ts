// A page says of every system that there are prebuilds for what was run there.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

it('the table of systems has those of scripts/prebuild-all', () => {
  const listed = execFileSync(packagePath('scripts/prebuild-all'), ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const page = readFileSync(packagePath('docs/systems.md'), 'utf8');
  const [, table = ''] = /<!-- systems -->\n([^]*)<!-- \/systems -->/.exec(page) ?? [];
  const rows = table.split('\n').filter((line) => /^\| [a-z0-9]+-/.test(line));
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  expect(cells.map(([, system]) => system).sort()).toEqual(listed);
  for (const [, system, how, runtimes, digits] of cells) {
    const wasRun = how !== 'symbols read';
    expect(runtimes !== 'none', system).toBe(wasRun);
    expect(/`[0-9a-f]{12}` \((avx2|neon)\)/.test(digits ?? ''), system).toBe(wasRun);
  }
});

it('a system that there is none of is refused before anything is built', () => {
  const { status, stderr } = spawnSync(packagePath('scripts/prebuild-all'), ['linux-x64-glibc', 'plan9-x64'], {
    encoding: 'utf8',
  });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^there is no system plan9-x64$/m);
});
