// Files that prettier and eslint read: a rule that knows types can fail in a file that imports a changed one.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { beforeEach, describe, expect, it } from 'vitest';

import { lintedFiles } from '../../scripts/linted-files.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

let folder: string;

const git = (...words: string[]): string => {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.example', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...identity, ...words], { cwd: folder, encoding: 'utf8' }).trim();
};
function write(file: string, text: string): void {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}
/** Lists the files as the script does, for this folder's own changes. */
function linted(tool: string): string[] {
  const { changedFiles } = createRequire(import.meta.url)(join(folder, 'scripts/changed.cjs')) as {
    changedFiles: () => ReadonlySet<string> | undefined;
  };
  return lintedFiles(tool, changedFiles(), folder).sort();
}

beforeEach(() => {
  folder = temporaryFolder();
  for (const file of [
    'scripts/changed.cjs',
    'scripts/linted-files.ts',
    'test/architecture/imports.ts',
    'package.json',
  ]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(packagePath(file), join(folder, file));
  }
  symlinkSync(packagePath('node_modules'), join(folder, 'node_modules'));
  write('.gitignore', 'node_modules\n');
  for (const room of ['packages', 'bench', 'examples']) write(`${room}/README.md`, '');
  write('lib/inner.ts', 'export const inner = 1;\n');
  write('lib/outer.ts', "import { inner } from './inner.js';\nexport const outer = inner;\n");
  write('test/outer.test.ts', "import { outer } from '../lib/outer.js';\nconsole.log(outer);\n");
  git('init', '--quiet', '--initial-branch', 'main');
  git('add', '--all');
  git('commit', '--quiet', '--message', 'first');
  write('.ci/checked', `${git('rev-parse', 'HEAD')}\n`);
  git('add', '--all');
  git('commit', '--quiet', '--message', 'checked');
});

describe('a changed file', () => {
  it('is read, by eslint with what imports it', () => {
    write('lib/inner.ts', 'export const inner = 2;\n');
    write('docs/new.md', 'new\n');
    expect(linted('prettier')).toEqual(['.ci/checked', 'docs/new.md', 'lib/inner.ts']);
    expect(linted('eslint')).toEqual(['lib/inner.ts', 'lib/outer.ts']);
  });

  it('is read without a look into installed packages', () => {
    write('lib/inner.ts', 'export const inner = 2;\n');
    // What is read as a file fails.
    write('examples/one/node_modules/other/types.ts/index.js', '');
    expect(linted('eslint')).toEqual(['lib/inner.ts', 'lib/outer.ts']);
  });

  it('that is gone is not read, but what imports it is', () => {
    git('rm', '--quiet', 'lib/outer.ts');
    expect(linted('prettier')).toEqual(['.ci/checked']);
    expect(linted('eslint')).toEqual(['test/outer.test.ts']);
  });

  it.each(['package.json', '.prettierrc.json', 'eslint.config.js', 'tsconfig.json', 'scripts/lint'])(
    'says what all are read for where it is %s',
    (file) => {
      write(file, '{}\n');
      expect(linted('eslint')).toEqual(['.']);
      expect(linted('prettier')).toEqual(['.']);
    },
  );
});

it('everything is read where that is asked for, nothing where nothing has changed', () => {
  const printed = (...words: string[]): string =>
    execFileSync(packagePath('node_modules/.bin/tsx'), ['scripts/linted-files.ts', ...words], {
      cwd: folder,
    }).toString();
  expect(printed('eslint', 'changed')).toBe('');
  expect(printed('eslint', 'all')).toBe('.\n');
});
