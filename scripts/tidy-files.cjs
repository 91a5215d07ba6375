'use strict';
// Prints the sources that clang-tidy has to read, one a line, and leaves its database in DATABASE/once.
//
//   node scripts/tidy-files.cjs DATABASE all|changed
//
// `changed` are the files that scripts/changed.cjs names, and everything that includes them.
const { existsSync, mkdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const { changedFiles, git, lines, root } = require('./changed.cjs');

const [database, which] = process.argv.slice(2);

// Each source is read once: kernels, which are compiled for each instruction set, for the first of them.
function commands() {
  const once = new Map();
  for (const each of JSON.parse(readFileSync(path.join(database, 'compile_commands.json'), 'utf8'))) {
    const file = path.relative(root, each.file);
    if (file.startsWith('..') || file.startsWith('build/')) continue;
    if (!once.has(file)) once.set(file, each);
  }
  return once;
}

// Included files are found by the end of their paths. At worst this finds too many, which only costs time.
function includers(sources) {
  const included = new Map();
  for (const file of sources) {
    for (const [, name] of readFileSync(file, 'utf8').matchAll(/^#include "(?:\.\.?\/)*([^"]+)"/gm)) {
      if (!included.has(name)) included.set(name, new Set());
      included.get(name).add(file);
    }
  }
  return (file) => [...included].flatMap(([name, by]) => (file === name || file.endsWith(`/${name}`) ? [...by] : []));
}

function reached(changed) {
  const folders = ['native', 'cuda', 'test'].filter((folder) => existsSync(folder));
  const sources = lines(git('ls-files', '--cached', '--others', '--exclude-standard', ...folders)).filter(
    (file) => /\.(cc|h|cu|cuh)$/.test(file) && existsSync(file),
  );
  const includersOf = includers(sources);
  const found = new Set();
  const visit = (file) => {
    if (found.has(file)) return;
    found.add(file);
    includersOf(file).forEach(visit);
  };
  changed.forEach(visit);
  return found;
}

// These files configure the checks and the compilation of every file.
const concernsAll = (file) =>
  /^(\.clang-tidy|CMakeLists\.txt|cmake\/.*|scripts\/(lint|setup|tidy-files\.cjs))$/.test(file);

const all = commands();
mkdirSync(path.join(database, 'once'), { recursive: true });
writeFileSync(path.join(database, 'once', 'compile_commands.json'), JSON.stringify([...all.values()]));

const changed = which === 'changed' ? changedFiles() : undefined;
const wanted = changed === undefined || [...changed].some(concernsAll) ? undefined : reached(changed);
for (const [file, each] of all) {
  if (wanted === undefined || wanted.has(file)) console.log(each.file);
}
