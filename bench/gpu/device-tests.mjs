// The tests of kernels and of the device: the same cases as on the emulation.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { printRow, settings } from './settings.mjs';

const deadline = performance.now() + 1000 * (settings.seconds - 5);
/** Apart, and last: the one whose time depends on how long cuDNN takes to plan. */
const longest = 'CudaDevice.RandomNetworksAgree';
/** On the emulation every one of them runs with every change. */
const filters = settings.selfTest ? ['CudaChannelwise.*:CudaConvert.*:CudaTimeEmbedding.*'] : [`*-${longest}`, longest];

/** The report as GoogleTest writes it, with the exit status; throws when there is none. */
function run(filter, file) {
  const parameters = [`--gtest_output=json:${file}`, `--gtest_filter=${filter}`, '--gtest_brief=1'];
  const timeout = Math.max(1, Math.ceil(deadline - performance.now()));
  const options = { encoding: 'utf8', maxBuffer: 2 ** 26, timeout, killSignal: 'SIGKILL' };
  const { status, signal, error, stdout, stderr } = spawnSync(settings.tests, parameters, options);
  console.error(`${stdout}${stderr}`.trim());
  if (error?.code === 'ETIMEDOUT') throw new Error(`${filter} took longer than there was time for`);
  if (!existsSync(file)) throw new Error(`the tests ended with ${signal ?? status} and without a report`);
  return { status, report: JSON.parse(readFileSync(file, 'utf8')) };
}

/** Prints the row; whether all is well. */
function tell({ status, report }) {
  const tests = report.testsuites.flatMap(({ name: suite, testsuite }) =>
    testsuite.map(({ name, result, failures = [] }) => ({ name: `${suite}.${name}`, result, failures })),
  );
  // Tests skip themselves where there is no card: here there is one.
  const skipped = tests.filter(({ result }) => result === 'SKIPPED').map(({ name }) => name);
  const failed = tests
    .filter(({ failures }) => failures.length > 0)
    .map(({ name, failures }) => ({ name, message: failures[0].failure.slice(0, 500) }));
  printRow({ tests: tests.length, failed, skipped, seconds: Number.parseFloat(report.time) });
  return status === 0 && failed.length + skipped.length === 0 && tests.length > 0;
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-gpu-check-'));
try {
  for (const [i, filter] of filters.entries()) {
    if (!tell(run(filter, join(folder, `${i}.json`)))) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
