// How many small mistakes in lib/, made one at a time by Stryker, do the tests notice?
//
//   node test/mutation/typescript.mjs [ROOM...] [--lines N | --all] [--static] [--seed N] [--workers N]
//
// Without --all, N lines of each room (default 200) are mutated, in blocks drawn with the seed. With --static also what
// runs when a module is loaded, for which every test of the room has to run again. Prints what survived, keeps reports in
// build/mutation, and fails where a room's score is below 85 %. Needs scripts/setup --mutation.
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Stryker } from '@stryker-mutator/core';

import { sampleLines } from './sample.mjs';

const LEAST_SCORE = 85;
// Its threads run what is compiled, where no mistake is made.
const COMPILED = 'packages/server/src/threads/';
// What the sandbox has to hold, the addon where it is looked for.
const READ_BY_TESTS = [
  'lib/**',
  'test/**',
  'models/**',
  'packages/**',
  'docs/**',
  'native/core/*',
  'build/Release/**',
  'dist/**',
  '*.{json,cjs}',
  '*.ts',
  'scripts/*.cjs',
];
const here = import.meta.dirname;
process.chdir(join(here, '../..'));
const rooms = JSON.parse(readFileSync(join(here, 'rooms.json'), 'utf8')).typescript;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    lines: { type: 'string', default: '200' },
    all: { type: 'boolean', default: false },
    static: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(availableParallelism()) },
  },
});

/** The files of a room, without those of rooms inside it. */
function filesOf(room) {
  const inside = Object.keys(rooms).filter((other) => other.startsWith(`${room}/`));
  return readdirSync(room, { recursive: true })
    .map((name) => join(room, name))
    .filter(
      (file) =>
        file.endsWith('.ts') && !file.startsWith(COMPILED) && !inside.some((other) => file.startsWith(`${other}/`)),
    )
    .sort();
}

function configuration(room, mutate) {
  const report = `build/mutation/${room}`;
  return {
    mutate,
    testRunner: 'vitest',
    testFiles: rooms[room],
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
    plugins: ['@stryker-mutator/*', join(here, 'wording.mjs')],
    ignorers: ['wording'],
    coverageAnalysis: 'perTest',
    ignoreStatic: !options.static,
    concurrency: Number(options.workers),
    ignorePatterns: ['**', ...READ_BY_TESTS.map((path) => `!${path}`), '**/node_modules/**'],
    tempDirName: 'build/mutation/sandbox',
    reporters: ['progress-append-only', 'html', 'json'],
    htmlReporter: { fileName: `${report}.html` },
    jsonReporter: { fileName: `${report}.json` },
    thresholds: { high: 95, low: LEAST_SCORE, break: null },
    allowEmpty: true,
    fileLogLevel: 'off',
    logLevel: 'warn',
  };
}

function summary(room, mutants) {
  const having = (...statuses) => mutants.filter(({ status }) => statuses.includes(status));
  const noticed = having('Killed', 'Timeout');
  const survived = having('Survived', 'NoCoverage');
  for (const { fileName, location, mutatorName, replacement, status } of survived) {
    const place = `${fileName.slice(process.cwd().length + 1)}:${location.start.line}:${location.start.column}`;
    console.log(`  ${status}: ${place}: ${mutatorName}: ${JSON.stringify(replacement?.slice(0, 100))}`);
  }
  const counted = noticed.length + survived.length;
  const score = counted === 0 ? 100 : (100 * noticed.length) / counted;
  console.log(`${room}: ${noticed.length} of ${counted} noticed, ${score.toFixed(1)} %`);
  return score;
}

const scores = [];
for (const room of positionals.length > 0 ? positionals : Object.keys(rooms)) {
  const files = filesOf(room);
  const mutate = options.all ? files : sampleLines(files, Number(options.lines), Number(options.seed));
  const mutants = await new Stryker(configuration(room, mutate)).runMutationTest();
  scores.push([room, summary(room, mutants)]);
}
console.log(scores.map(([room, score]) => `${room} ${score.toFixed(1)} %`).join(', '));
process.exitCode = scores.every(([, score]) => score >= LEAST_SCORE) ? 0 : 1;
