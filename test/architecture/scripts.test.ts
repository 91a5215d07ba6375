// Scripts in plain JavaScript name files and exports of dist/ that no compiler checks.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

import { expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

const scripts = execFileSync('git', ['ls-files', '*.mjs'], { cwd: packagePath('.') })
  .toString()
  .trim()
  .split('\n');

/** Lists a script's imports by relative paths: the file and the names. */
function importsOf(script: string): { file: string; names: string[] }[] {
  const text = readFileSync(packagePath(script), 'utf8');
  const found = text.matchAll(/^import\s+(?:\{([^}]*)\}|\w+)\s+from\s+'(\.[^']+)';/gm);
  return [...found].map(([, names = '', path]) => ({
    file: posix.join(posix.dirname(script), path!),
    names: names
      .split(',')
      .map((name) => name.trim().split(' as ')[0]!)
      .filter((name) => name !== ''),
  }));
}

const imports = scripts.flatMap((script) => importsOf(script).map((each) => ({ script, ...each })));

it.each(imports)('$script finds $names in $file', async ({ file, names }) => {
  if (!file.startsWith('dist/')) {
    expect(existsSync(packagePath(file))).toBe(true);
    return;
  }
  const source = file.replace(/^dist\//, 'lib/').replace(/\.js$/, '.ts');
  expect(existsSync(packagePath(source))).toBe(true);
  const module = (await import(packagePath(source))) as Record<string, unknown>;
  for (const name of names) expect(module, name).toHaveProperty(name);
});

it('there are such scripts', () => {
  expect(imports.length).toBeGreaterThan(50);
});
