import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { circles, imported, linesByRoom, markdownTable, readSources, treeOf, violations } from './imports.js';
import { rooms } from './rooms.js';

const trees = [...new Set(rooms.map(({ path }) => treeOf(path)))];
const server = 'packages/server/src';
const sources = readSources(packagePath('.'), trees);

/** The sources with one more line at the top of a file. */
function planted(file: string, line: string): Map<string, string> {
  return new Map(sources).set(file, `${line}\n${sources.get(file) ?? ''}`);
}

describe('the rooms of lib/, packages/server/src/, native/ and cuda/', () => {
  it('are used as their table says', () => {
    expect(sources.size).toBeGreaterThan(430);
    expect(trees).toEqual(['lib', 'packages/server/src', 'native', 'cuda']);
    expect(violations(sources, rooms)).toEqual([]);
  });

  it('are listed after those they use', () => {
    rooms.forEach(({ uses }, index) => {
      const before = rooms.slice(0, index).map(({ path }) => path);
      expect(before).toEqual(expect.arrayContaining([...uses]));
    });
  });

  it('have a file each, and use every room that they may', () => {
    for (const room of rooms) {
      const files = [...sources.keys()].filter((file) => file === room.path || file.startsWith(`${room.path}/`));
      expect(files, room.path).not.toEqual([]);
      const targets = files.flatMap((file) => imported(file, sources));
      for (const use of room.uses) {
        expect(
          targets.some((target) => target === use || target.startsWith(`${use}/`)),
          `${room.path} uses ${use}`,
        ).toBe(true);
      }
    }
  });

  it('have no more lines than they may', () => {
    const counted = linesByRoom(sources, rooms);
    const larger = rooms.filter(({ path, lines }) => (counted.get(path) ?? 0) > lines);
    expect(larger.map(({ path, lines }) => `${path} has ${counted.get(path)} lines of ${lines}`)).toEqual([]);
    // A budget that is far away says nothing.
    for (const { path, lines } of rooms) expect(lines, path).toBeLessThan(1.1 * (counted.get(path) ?? 0) + 100);
    const grown = planted('lib/base/arrays.ts', '\n'.repeat(5000));
    expect(linesByRoom(grown, rooms).get('lib/base')).toBe((counted.get('lib/base') ?? 0) + 5001);
  });

  it('have no circle of files, of types neither', () => {
    expect(circles(sources)).toEqual([]);
  });

  it('are shown by ARCHITECTURE.md', () => {
    const rows = readFileSync(packagePath('ARCHITECTURE.md'), 'utf8')
      .split('\n')
      .filter((line) => /^\| `(lib|packages|native|cuda)/.test(line))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim())
          .join(' | '),
      );
    // `npm run format` writes it anew.
    expect(rows).toEqual(markdownTable(rooms));
  });
});

describe('the check of the rooms', () => {
  it('notices an upward import in TypeScript, of a type too', () => {
    for (const keyword of ['import', 'import type']) {
      const file = 'lib/schedule/trajectory.ts';
      const found = violations(planted(file, `${keyword} { DiffusionModel } from '../model.js';`), rooms);
      expect(found).toEqual([`${file} uses lib/model.ts: lib/schedule may not use lib/model.ts`]);
    }
    const exported = violations(planted('lib/base/arrays.ts', "export * from '../index.js';"), rooms);
    expect(exported).toEqual(['lib/base/arrays.ts uses lib/index.ts: lib/base may not use lib/index.ts']);
  });

  it('notices an upward import in a package, of a type and where it is awaited, too', () => {
    const file = `${server}/jobs/spool/spool-job.ts`;
    const target = `${server}/http/context.ts`;
    const lines = [
      "import { note } from '../../http/context.js';",
      "import type { Context } from '../../http/context.js';",
      "const context = await import('../../http/context.js');",
    ];
    for (const line of lines) {
      expect(violations(planted(file, line), rooms)).toEqual([
        `${file} uses ${target}: ${server}/jobs/spool may not use ${server}/http`,
      ]);
    }
  });

  it('notices a package that imports the library by a path, and not by its name', () => {
    const file = `${server}/base/json.ts`;
    expect(violations(planted(file, "import { DpmError } from 'dpm-native';"), rooms)).toEqual([]);
    expect(violations(planted(file, "import { DpmError } from '../../../../lib/index.js';"), rooms)).toEqual([
      `${file} uses lib/index.ts: ${server}/base may not use lib/index.ts`,
    ]);
  });

  it('notices an upward include in C++', () => {
    const file = 'native/core/error.h';
    const found = violations(planted(file, '#include "engine/engine.h"'), rooms);
    expect(found).toEqual([`${file} uses native/engine/engine.h: native/core may not use native/engine`]);
  });

  it('notices a file in no room', () => {
    const stray = ['lib/stray.ts', 'native/stray/stray.cc', `${server}/stray.ts`, `${server}/stray/stray.ts`];
    const found = violations(new Map([...sources, ...stray.map((file) => [file, ''] as const)]), rooms);
    expect(found).toEqual(stray.map((file) => `${file} lies in no room`));
  });

  it('notices a circle of two files, of types too', () => {
    const found = circles(planted('lib/base/errors.ts', "import type { at } from './arrays.js';"));
    expect(found.length).toBeGreaterThan(0);
    expect(found.join()).toContain('lib/base/errors.ts');
    const line = "import type { JobState } from './store.js';";
    expect(circles(planted(`${server}/jobs/job.ts`, line)).join()).toContain(`${server}/jobs/job.ts`);
  });
});
