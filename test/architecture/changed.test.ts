// Changes as CI sees them, which decide the checks that it leaves out.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeEach, describe, expect, it } from 'vitest';

import { packagePath, temporaryFolder } from '../support/temporary.js';

let folder: string;

function git(...words: string[]): string {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.example', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...identity, ...words], { cwd: folder, encoding: 'utf8' }).trim();
}

function commit(file: string): string {
  mkdirSync(join(folder, file, '..'), { recursive: true });
  appendFileSync(join(folder, file), 'a line\n');
  git('add', '--all');
  git('commit', '--quiet', '--message', file);
  return git('rev-parse', 'HEAD');
}

function note(checked: string): void {
  writeFileSync(join(folder, '.ci/checked'), `# a comment\n${checked}\n`);
  git('add', '--all');
  git('commit', '--quiet', '--message', 'checked');
}

const changed = (...patterns: string[]) =>
  spawnSync(process.execPath, ['scripts/changed.cjs', ...patterns], { cwd: folder, encoding: 'utf8' });
const files = (): string[] => changed().stdout.trim().split('\n').sort();

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'scripts'));
  mkdirSync(join(folder, '.ci'));
  cpSync(packagePath('scripts/changed.cjs'), join(folder, 'scripts/changed.cjs'));
  git('init', '--quiet', '--initial-branch', 'main');
});

describe('what has changed', () => {
  it('on main, is what differs from the commit that was checked, uncommitted and new files too', () => {
    commit('lib/old.ts');
    note(commit('lib/older.ts'));
    commit('cuda/kernel.cu');
    writeFileSync(join(folder, 'lib/new.ts'), '');
    appendFileSync(join(folder, 'lib/old.ts'), 'another\n');
    expect(files()).toEqual(['.ci/checked', 'cuda/kernel.cu', 'lib/new.ts', 'lib/old.ts']);
  });

  it('is a file that is gone, or was renamed, under its old name as well', () => {
    commit('cuda/gone.cu');
    note(commit('cuda/named.cu'));
    git('rm', '--quiet', 'cuda/gone.cu');
    git('mv', 'cuda/named.cu', 'lib.cu');
    expect(files()).toEqual(['.ci/checked', 'cuda/gone.cu', 'cuda/named.cu', 'lib.cu']);
  });

  it('on a branch, is what differs from where it left main', () => {
    note(commit('lib/old.ts'));
    commit('cuda/kernel.cu');
    git('switch', '--quiet', '--create', 'own');
    commit('lib/own.ts');
    expect(files()).toEqual(['lib/own.ts']);
  });

  it.each(['0123456789012345678901234567890123456789', ''])('is everything where %j was checked', (checked) => {
    commit('lib/old.ts');
    note(checked);
    expect(files()).toEqual(['everything']);
    expect(changed('^cuda/').status).toBe(0);
  });

  it('matches patterns, or does not, which no failure looks like', () => {
    note(commit('lib/old.ts'));
    commit('cuda/kernel.cu');
    expect(changed('^native/', '^cuda/').status).toBe(0);
    expect(changed('^native/', '^lib/').status).toBe(3);
    expect(changed('(').status).not.toBe(3);
  });
});
