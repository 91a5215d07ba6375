'use strict';
// Script that npm runs in a checkout and for git dependencies, but not when the published package is installed. It makes the
// package usable: the addon, unless one that loads is there already, and dist/.
const { spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.resolve(__dirname, '..');

function run(script, ...scriptArguments) {
  const { status } = spawnSync(process.execPath, [script, ...scriptArguments], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function addonLoads() {
  const script = 'require("node-gyp-build")(process.cwd())';
  return spawnSync(process.execPath, ['-e', script], { cwd: root, stdio: 'ignore' }).status === 0;
}

if (!addonLoads()) run(path.join(__dirname, 'native-build.cjs'));
const compiler = require.resolve('typescript/bin/tsc', { paths: [root] });
run(compiler, '-p', 'tsconfig.build.json');
const server = path.join(root, 'packages/server');
run(compiler, '-p', path.join(server, 'tsconfig.build.json'));
run(path.join(server, 'build-page.mjs'));
