#!/usr/bin/env node
'use strict';
// The one door to the native build. `npm run build:native`, `npm test`, node-gyp (through binding.gyp) and prebuildify (as
// its --node-gyp) all come here. It runs cmake-js in build/cmake and copies the addon and its plug-ins to build/Release, where
// node-gyp-build looks first. With --cuda, or DPM_CUDA=1, the plug-in for CUDA is among them, and where there is an nvcc of
// CUDA 12 that for older drivers; that needs nvcc and cuDNN's headers (cmake/cuda.cmake). With --zig-target, or
// DPM_ZIG_TARGET, zig builds for another system, in build/prebuilds/TARGET (cmake/zig.cmake).
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const root = path.resolve(__dirname, '..');
// Parsing is not strict, as prebuildify passes the arguments that node-gyp would get, and none of them matters here.
const { values: options } = parseArgs({
  strict: false,
  options: {
    config: { type: 'string', default: 'Release' },
    out: { type: 'string' },
    tests: { type: 'boolean', default: false },
    cuda: { type: 'boolean', default: process.env.DPM_CUDA === '1' },
    'zig-target': { type: 'string', default: process.env.DPM_ZIG_TARGET },
    'run-tests': { type: 'boolean', default: false },
  },
});

// Tools that scripts/setup brought because the system's are missing or too old.
const toolchain = path.join(root, '.toolchain', 'bin');
const environment = { ...process.env, PATH: `${toolchain}${path.delimiter}${process.env.PATH}` };
// gyp exports make's own variables, which confuse the inner build.
for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'BUILDTYPE', 'builddir', 'V']) {
  delete environment[name];
}

function run(command, commandArguments) {
  const { status, error } = spawnSync(command, commandArguments, { cwd: root, env: environment, stdio: 'inherit' });
  if (error) console.error(`cannot run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

const target = options['zig-target'];
const home = target ? path.join(root, 'build', 'prebuilds', target) : root;
const work = path.join(home, 'build', 'cmake');
const built = path.join(work, options.config);

function cmakeJs(step, ...more) {
  let script;
  try {
    script = require.resolve('cmake-js/bin/cmake-js', { paths: [root] });
  } catch {
    console.error('the native build needs cmake-js and node-addon-api: npm install cmake-js node-addon-api');
    process.exit(1);
  }
  const common = ['--directory', root, '--out', work, '--config', options.config, '--log-level', 'warn'];
  if (process.env.PREBUILD_ARCH) common.push('--arch', process.env.PREBUILD_ARCH);
  run(process.execPath, [script, step, ...common, ...more]);
}

// Always configure: `cmake-js build` alone skips it, and with it new options, once there is a CMakeCache.txt.
const onOff = (wanted) => (wanted ? 'ON' : 'OFF');
const toolchainFile = path.join(root, 'cmake', 'zig.cmake');
const cross = target ? [`--CDCMAKE_TOOLCHAIN_FILE=${toolchainFile}`, `--CDDPM_ZIG_TARGET=${target}`] : [];
cmakeJs(
  'configure',
  ...cross,
  `--CDDPM_TESTS=${onOff(options.tests)}`,
  `--CDDPM_CARD_TESTS=${onOff(process.env.DPM_CARD_TESTS !== 'OFF')}`,
  `--CDDPM_CUDA=${onOff(options.cuda)}`,
);
cmakeJs('build', '--parallel', String(os.availableParallelism()));

const out = path.resolve(home, options.out ?? path.join('build', options.config));
fs.mkdirSync(out, { recursive: true });
for (const file of fs.readdirSync(built)) {
  if (!/\.(node|so|dylib|dll)$/.test(file)) continue;
  // A rename puts the file in place at once, and a process that has mapped the old file keeps it.
  const temporary = path.join(out, `${file}.${process.pid}.tmp`);
  fs.copyFileSync(path.join(built, file), temporary);
  fs.renameSync(temporary, path.join(out, file));
}

// Most tests use one core: two parts side by side, of several so that both cores end together, each with its report where GTEST_OUTPUT
// asks for one.
function runTests() {
  const parts = 6;
  let next = 0;
  let failed = 0;
  const runNext = () => {
    if (next === parts) return;
    const part = String(next++);
    const report = environment.GTEST_OUTPUT?.replace(/\.json$/, `-${part}.json`);
    const own = {
      GTEST_TOTAL_SHARDS: String(parts),
      GTEST_SHARD_INDEX: part,
      ...(report && { GTEST_OUTPUT: report }),
    };
    const child = spawn(path.join(built, 'dpm_native_tests'), ['--gtest_brief=1'], {
      cwd: root,
      env: { ...environment, ...own },
      stdio: 'inherit',
    });
    child.on('error', (error) => {
      console.error(`cannot run the native tests: ${error.message}`);
      process.exitCode = 1;
    });
    child.on('exit', (status) => {
      failed ||= status ?? 1;
      process.exitCode = failed;
      runNext();
    });
  };
  runNext();
  runNext();
}

if (options['run-tests']) runTests();
