#!/usr/bin/env node
// Builds the site of docs/ into build/site: `npm run site`. A link that leads nowhere fails it.
//
//   node scripts/site/main.mjs             builds
//   node scripts/site/main.mjs --preview   serves what has been built
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, serve } from 'vitepress';

import { groups } from './pages.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const source = join(root, 'build/site-source');

/** Languages of the blocks that show files of examples. */
const languages = { '.mjs': 'js', '.ts': 'ts', '.json': 'json', '.yaml': 'yaml', '.sh': 'sh', '': 'text' };

function shown(path) {
  const text = readFileSync(path, 'utf8').trimEnd();
  return `## ${basename(path)}\n\n\`\`\`\`${languages[extname(path)] ?? 'text'}\n${text}\n\`\`\`\`\n`;
}

/** Makes a page of an example: its file, or the files of its folder. */
function examplePage(name) {
  const path = join(root, 'examples', name);
  const isFolder = statSync(path).isDirectory();
  const files = isFolder ? readdirSync(path).map((file) => join(path, file)) : [path];
  const texts = files.filter((file) => statSync(file).isFile()).map(shown);
  return [`# ${name}\n`, ...texts].join('\n');
}

/** Points links to examples at their pages. */
function linked(text) {
  return text.replaceAll(/\]\((\.\.\/)?examples\/([\w.-]+)\)/g, (_, up = '', name) => `](${up}examples/${name}.md)`);
}

function copyPages() {
  const own = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const listed = Object.values(groups).flatMap(Object.keys);
  const stray = own.filter((name) => !listed.includes(basename(name, '.md')));
  if (stray.length > 0) throw new Error(`scripts/site/pages.mjs has no place for ${stray.join(', ')}`);
  cpSync(join(root, 'docs'), join(source, 'docs'), { recursive: true });
  for (const name of own) {
    const page = join(source, 'docs', name);
    writeFileSync(page, linked(readFileSync(page, 'utf8')));
  }
  for (const name of ['CHANGELOG.md', 'SECURITY.md']) cpSync(join(root, name), join(source, name));
  writeFileSync(join(source, 'index.md'), linked(readFileSync(join(root, 'README.md'), 'utf8')));
}

function copyOthers() {
  for (const name of readdirSync(join(root, 'models'))) {
    const page = join(root, 'models', name, 'README.md');
    if (existsSync(page)) cpSync(page, join(source, 'models', name, 'README.md'));
  }
  mkdirSync(join(source, 'bench/quality'), { recursive: true });
  cpSync(join(root, 'bench/quality/quality.svg'), join(source, 'bench/quality/quality.svg'));
  mkdirSync(join(source, 'examples'));
  for (const name of readdirSync(join(root, 'examples'))) {
    writeFileSync(join(source, 'examples', `${name}.md`), examplePage(name));
  }
  execFileSync(join(root, 'node_modules/.bin/typedoc'), ['--logLevel', 'Warn'], { cwd: root, stdio: 'inherit' });
  cpSync(join(root, 'build/api'), join(source, 'api'), { recursive: true });
  cpSync(join(source, 'api/README.md'), join(source, 'api/index.md'));
}

if (process.argv[2] === '--preview') {
  await serve({ root: source, base: '/', port: 4173 });
} else {
  rmSync(source, { recursive: true, force: true });
  mkdirSync(join(source, '.vitepress'), { recursive: true });
  copyPages();
  copyOthers();
  for (const name of ['config.mjs', 'pages.mjs']) {
    cpSync(join(root, 'scripts/site', name), join(source, '.vitepress', name));
  }
  await build(source);
}
