#!/usr/bin/env node
// Bundles the script of the page into one file, beside its HTML and CSS, where the server reads it.
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const inPackage = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = 'apis/page/static';

await build({
  entryPoints: [inPackage('src/apis/page/client/main.tsx')],
  outfile: inPackage(`src/${page}/page.js`),
  tsconfig: inPackage('src/apis/page/client/tsconfig.json'),
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  banner: { js: '/* Contains Preact (MIT), copyright 2015-present Jason Miller. */' },
  logLevel: 'warning',
});
cpSync(inPackage(`src/${page}`), inPackage(`dist/${page}`), { recursive: true });
