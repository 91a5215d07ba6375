// Prints the files that prettier or eslint has to read, one a line, or `.` for everything.
//
//   tsx scripts/linted-files.ts prettier|eslint all|changed
//
// The formatting of a file depends on it alone. Rules know types, so they also read the files that import a changed file.
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { imported, readSources } from '../test/architecture/imports.js';

/** Files that configure the checks of every file. */
const concernsAll =
  /^(\.prettier.*|eslint\.config\.js|tsconfig.*\.json|package(-lock)?\.json|scripts\/(lint|linted-files\.ts|setup))$/;

/** Finds the files that import one of these, types included. */
function importersOf(changed: ReadonlySet<string>, root: string): string[] {
  const sources = readSources(root, ['lib', 'packages', 'test', 'bench', 'examples', 'scripts']);
  const scripts = [...sources.keys()].filter((file) => /\.tsx?$/.test(file) && !file.includes('node_modules/'));
  return scripts.filter((file) => imported(file, sources).some((target) => changed.has(target)));
}

/** The files that a tool has to read where these files have changed; undefined for all files. */
export function lintedFiles(tool: string, changed: ReadonlySet<string> | undefined, root: string): string[] {
  if (changed === undefined || [...changed].some((file) => concernsAll.test(file))) return ['.'];
  const there = [...changed].filter((file) => existsSync(`${root}/${file}`));
  const ruled = there.filter((file) => /\.([cm]?js|tsx?)$/.test(file));
  return tool === 'prettier' ? there : [...new Set([...ruled, ...importersOf(changed, root)])];
}

if (realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const { changedFiles, root } = createRequire(import.meta.url)('./changed.cjs') as {
    changedFiles: () => ReadonlySet<string> | undefined;
    root: string;
  };
  const [, , tool = '', which] = process.argv;
  const files = lintedFiles(tool, which === 'all' ? undefined : changedFiles(), root);
  if (files.length > 0) console.log(files.join('\n'));
}
