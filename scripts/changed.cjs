#!/usr/bin/env node
'use strict';
// Lists the files that differ from the commit of the last full checks: from where this branch left main, and on main from the commit
// that .ci/checked names. Uncommitted and new files count.
//
//   scripts/changed.cjs              the files, one a line
//   scripts/changed.cjs PATTERN...   exits with 0 if one of them matches a regular expression, with 3 if none does, as no failure does
//
// Where the commit is not in the history, everything counts as changed: the one line is `everything`, every PATTERN matches.
const { execFileSync } = require('node:child_process');
const { readFileSync } = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');

function git(...words) {
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 28 };
  return execFileSync('git', words, options).trim();
}
const lines = (text) => text.split('\n').filter((line) => line !== '');

function attempt(...words) {
  try {
    return git(...words);
  } catch {
    return undefined;
  }
}

/** The commit of the last full checks; undefined where it is not in the history. */
function checked() {
  const [commit] = lines(readFileSync(path.join(root, '.ci', 'checked'), 'utf8')).filter(
    (line) => !line.startsWith('#'),
  );
  return attempt('merge-base', '--is-ancestor', commit, 'HEAD') === undefined ? undefined : commit;
}

/** The commit to compare with; undefined where there is none. */
function base() {
  const head = attempt('rev-parse', 'HEAD');
  for (const main of ['origin/HEAD', 'origin/main', 'main']) {
    const fork = attempt('merge-base', 'HEAD', main);
    if (fork !== undefined && fork !== head) return fork;
  }
  return checked();
}

/** The paths of changed and removed files from the root; undefined where everything counts. */
function changedFiles(from = base()) {
  if (from === undefined) return undefined;
  const untracked = git('ls-files', '--others', '--exclude-standard');
  return new Set([...lines(git('diff', '--name-only', '--no-renames', from)), ...lines(untracked)]);
}

/** Tells whether one of the changed files matches a pattern. */
function touches(patterns, changed = changedFiles()) {
  return (
    changed === undefined || [...changed].some((file) => patterns.some((pattern) => new RegExp(pattern).test(file)))
  );
}

module.exports = { changedFiles, git, lines, root, touches };

if (require.main === module) {
  const patterns = process.argv.slice(2);
  if (patterns.length > 0) process.exit(touches(patterns) ? 0 : 3);
  console.log([...(changedFiles() ?? ['everything'])].join('\n'));
}
