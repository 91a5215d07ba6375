// The runner of mistakes in C++, on a project of one function.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { expect, it } from 'vitest';

import { packagePath, temporaryFolder } from '../support/temporary.js';

interface Mutant {
  file: string;
  line: number;
  before: string;
  after: string;
  verdict: string;
}

const half = 'int half(int number) { return number / 2; }\n';
const sources = {
  'CMakeLists.txt': `cmake_minimum_required(VERSION 3.24)
project(half LANGUAGES CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY bin)
add_executable(dpm_native_tests native/half.cc test/native/half_test.cc)
`,
  'native/half.cc': half,
  // Negative numbers are not tested.
  'test/native/half_test.cc': `int half(int number);
int main() { return half(4) == 2 && half(5) == 2 ? 0 : 1; }
`,
  'test/mutation/rooms.json': '{ "native": { "native": { "sources": [], "first": "Half*", "unrelated": "" } } }',
};

const mutant = (after: string): Mutant => ({
  file: 'native/half.cc',
  line: 1,
  before: half,
  after,
  verdict: 'survived',
});

// Python is not needed for anything else.
const hasPython = spawnSync('python3', ['--version']).status === 0;

it.skipIf(!hasPython)('tells apart what is noticed, survives, is equivalent and does not compile', () => {
  const root = temporaryFolder();
  const report = 'build/mutation/native.json';
  const mutants = ['number / 2 + 1', 'number < 0 ? 0 : number / 2', 'number / (1 + 1)', 'number / two'].map((body) =>
    mutant(half.replace('number / 2', body)),
  );
  for (const [name, text] of Object.entries({ ...sources, [report]: JSON.stringify(mutants) })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const { stdout, status } = spawnSync(packagePath('test/mutation/native.py'), ['--root', root, '--again'], {
    encoding: 'utf8',
  });
  const verdicts = (JSON.parse(readFileSync(join(root, report), 'utf8')) as Mutant[]).map(({ verdict }) => verdict);
  expect(verdicts).toEqual(['noticed', 'survived', 'equivalent', 'does not compile']);
  expect(stdout).toContain('survived: native/half.cc:1');
  expect(stdout).toContain('native: 1 of 2 noticed, 50.0 %; 1 do not compile, 1 are equivalent');
  expect(status).toBe(1);
  expect(readFileSync(join(root, 'native/half.cc'), 'utf8')).toBe(half);
});
