// Runs the tests nearest to what has changed since the last commit, or in it: in a third of a minute what is most likely to notice.
//
//   npm run near [-- --seconds N]    for about so long, default 10; `npm test` runs all
//
// Tests in the folder that mirrors the changed file's room come first, then others by the number of imports or includes in between. The
// time of a test is the one that vitest noted when it last ran.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

import { imported, readSources, roomOf } from '../test/architecture/imports.js';
import { rooms } from '../test/architecture/rooms.js';

const { changedFiles, root } = createRequire(import.meta.url)('./changed.cjs') as {
  changedFiles: (from: string) => ReadonlySet<string>;
  root: string;
};
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } });
const folders = ['lib', 'packages/server/src', 'packages/server/test', 'native', 'cuda', 'test'];
const sources = readSources(root, folders);
/** Seconds for a file that has never run, and the least for any file, as a worker has to start. */
const LEAST_SECONDS = 1;

/** Imports between each file and the changed one that it depends on, for all that depend on one. */
function distancesFrom(changed: readonly string[]): Map<string, number> {
  const importers = new Map<string, string[]>();
  for (const file of sources.keys()) {
    for (const target of imported(file, sources)) importers.set(target, [...(importers.get(target) ?? []), file]);
  }
  const distances = new Map(changed.map((file) => [file, 0]));
  for (const [file, distance] of distances) {
    // A file that includes a header depends on its source.
    const header = file.replace(/\.(cc|cu)$/, '.h');
    for (const next of [...(importers.get(file) ?? []), header]) {
      if (!distances.has(next)) distances.set(next, distance + (next === header ? 0 : 1));
    }
  }
  return distances;
}

/** Folders of tests that mirror the rooms of files. */
function mirrorsOf(changed: readonly string[]): string[] {
  return changed.flatMap((file) => {
    const room = roomOf(file, rooms)?.path;
    if (room === undefined) return [];
    if (room.startsWith('packages/')) return [`${room.replace('/src/', '/test/').replace(/\.ts$/, '')}/`];
    return room.startsWith('cuda') ? ['test/cuda/'] : [`test/${room.replace(/\.ts$/, '')}/`];
  });
}

/** The files that depend on what has changed, nearest first. */
function nearestFirst(changed: readonly string[]): string[] {
  const distances = distancesFrom(changed);
  const mirrors = mirrorsOf(changed);
  const isMirrored = (file: string): boolean => mirrors.some((mirror) => file.startsWith(mirror));
  const order = (file: string): number => (isMirrored(file) ? 0 : 1000) + (distances.get(file) ?? 0);
  return [...distances.keys()].filter((file) => sources.has(file)).sort((a, b) => order(a) - order(b));
}

/** Seconds that test files took when they last ran. */
function noted(): Map<string, number> {
  const notes = `${root}/node_modules/.vite/vitest`;
  const [file] = existsSync(notes) ? readdirSync(notes).map((folder) => `${notes}/${folder}/results.json`) : [];
  if (file === undefined || !existsSync(file)) return new Map();
  const { results } = JSON.parse(readFileSync(file, 'utf8')) as {
    results: [string, { duration: number }][];
  };
  return new Map(results.map(([name, { duration }]) => [name.replace(/^[^:]*:\/?/, ''), duration / 1000]));
}

/** Chooses as many of the nearest files as fit into the time. */
function within(files: readonly string[], seconds: number): string[] {
  const took = noted();
  let sum = 0;
  return files.filter((file, i) => {
    sum += Math.max(LEAST_SECONDS, took.get(file) ?? LEAST_SECONDS);
    return i === 0 || sum <= seconds;
  });
}

function run(command: string, ...words: string[]): void {
  const { status } = spawnSync(command, words, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** Runs native tests, one file after the other, until the time is over, as their times are not known. Returns how many were run. */
function runNative(tests: readonly string[], seconds: number): number {
  const build = 'build/cmake';
  const cache = `${root}/${build}/CMakeCache.txt`;
  if (!existsSync(cache)) run('node', 'scripts/native-build.cjs', '--tests');
  // A build of the addon alone has no native tests.
  const cached = readFileSync(cache, 'utf8');
  const wanted = ['DPM_TESTS', 'DPM_CARD_TESTS'].filter((name) => !new RegExp(`^${name}:BOOL=ON$`, 'm').test(cached));
  if (wanted.length > 0) run('cmake', '-S', '.', '-B', build, ...wanted.map((name) => `-D${name}=ON`));
  run('cmake', '--build', build, '--target', 'dpm_native_tests');
  const end = Date.now() + 1000 * seconds;
  let done = 0;
  while (done < tests.length && (done === 0 || Date.now() < end)) {
    run(`${build}/Release/dpm_native_tests`, '--gtest_brief=1', `--gtest_filter=${filterOf(tests[done++]!)}`);
  }
  return done;
}

/** GoogleTest's filter of the suites of a file. */
function filterOf(file: string): string {
  const tests = (sources.get(file) ?? '').matchAll(/^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+)/gm);
  const suites = new Set(Array.from(tests, ([, suite]) => suite));
  return [...suites].flatMap((suite) => [`${suite}.*`, `*/${suite}.*`, `${suite}/*`]).join(':');
}

const seconds = Number(values.seconds);
const uncommitted = [...changedFiles('HEAD')];
const changed = uncommitted.length > 0 ? uncommitted : [...changedFiles('HEAD~')];
const files = nearestFirst(changed);
const native = files.filter((file) => /^test\/(native|cuda)\/.*_test\.cc$/.test(file));
const script = files.filter((file) => file.endsWith('.test.ts'));
const chosen = within(script, seconds);
if (native.length + script.length === 0) console.log(`near: no test depends on ${changed.join(', ')}`);
const done = chosen.length + (native.length > 0 ? runNative(native, seconds) : 0);
if (chosen.length > 0) run('npx', 'vitest', 'run', ...chosen);
const left = native.length + script.length - done;
if (left > 0) console.log(`near: ${left} more test files depend on it; npm test runs them`);
