// The tests of kernels and of the device: the same cases as on the emulation, every suite in a process of its own.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { follow } from './follow.mjs';
import { printRow, settings } from './settings.mjs';
import { listSuites } from './suites.mjs';

const deadline = performance.now() + 1000 * (settings.seconds - 5);
const left = () => (deadline - performance.now()) / 1000;
/** A suite that runs last, as its time depends on cuDNN's planning. It stops at a deadline and says how far it came. */
const longest = 'CudaDevice.RandomGraphsAgree';
const LONGEST_SECONDS = 60;
/** The suites for a self-test. On the emulation all suites run with every change anyway. */
const filters = settings.selfTest ? ['CudaChannelwise.*:CudaConvert.*:CudaTimeEmbedding.*'] : [`*-${longest}`, longest];

/** Tells whether a line is one that GoogleTest prints for tests that pass. */
const isQuiet = (line) => /^\[( +OK |-+|=+| RUN +| +PASSED +)\]|^Note: |^Running main|^$/.test(line);

/** Runs tests, and returns how their process ended and which test it was running. */
async function run(filter, file) {
  let running = null;
  const onLine = (line) => {
    running = /^\[ RUN +\] (\S+)/.exec(line)?.[1] ?? (/^\[ +(OK|FAILED|SKIPPED) +\]/.test(line) ? null : running);
    if (!isQuiet(line)) console.error(line);
  };
  const environment = { DPM_TEST_SECONDS: String(Math.max(1, Math.round(Math.min(LONGEST_SECONDS, left() - 10)))) };
  const parameters = [`--gtest_output=json:${file}`, `--gtest_filter=${filter}`];
  const end = await follow(settings.tests, parameters, { seconds: left(), environment, onLine });
  return { ...end, running };
}

const withoutReport = ({ why, running }) => ({
  tests: 0,
  failed: [{ name: running ?? 'all', message: why }],
  skipped: [],
  seconds: 0,
});

function summary(report) {
  const tests = report.testsuites.flatMap(({ name: suite, testsuite }) =>
    testsuite.map(({ name, ...rest }) => ({ name: `${suite}.${name}`, failures: [], ...rest })),
  );
  const graphs = tests.find((test) => test.graphs !== undefined)?.graphs;
  return {
    tests: tests.length,
    failed: tests
      .filter(({ failures }) => failures.length > 0)
      .map(({ name, failures }) => ({ name, message: failures[0].failure.slice(0, 500) })),
    // Tests skip themselves where there is no card, but here there is one.
    skipped: tests.filter(({ result }) => result === 'SKIPPED').map(({ name }) => name),
    seconds: Number.parseFloat(report.time),
    ...(graphs === undefined ? {} : { graphs: Number(graphs) }),
  };
}

/** Prints the row, and tells whether all is well. */
async function runSuite({ suite, filter }, file) {
  const end = await run(filter, file);
  const row = existsSync(file) ? summary(JSON.parse(readFileSync(file, 'utf8'))) : withoutReport(end);
  printRow({ suite, ...row });
  return end.status === 0 && row.failed.length + row.skipped.length === 0 && row.tests > 0;
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-gpu-check-'));
const unwell = [];
try {
  const suites = filters.flatMap((filter) => listSuites(settings.tests, filter));
  for (const [i, each] of suites.entries()) {
    if (!(await runSuite(each, join(folder, `${i}.json`)))) unwell.push(each.suite);
  }
  if (suites.length === 0) throw new Error('there are no tests');
} finally {
  rmSync(folder, { recursive: true });
}
if (unwell.length > 0) {
  console.error(`not well: ${unwell.join(', ')}`);
  process.exitCode = 1;
}
