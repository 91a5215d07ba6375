// NVIDIA's compute-sanitizer on a part of the tests that every kernel takes part in.
//
//   node sanitizer.mjs memcheck|racecheck
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { packagePath, printRow, settings, skip } from './settings.mjs';

const [tool] = process.argv.slice(2);
const filters = {
  memcheck:
    'Cuda*-CudaDevice.RandomN*:CudaRuns.M*:CudaRuns.S*:CudaRuns.ACancelled*:CudaRuns.P*:*LargeScores*:*ASampleGets*',
  racecheck:
    'CudaAttention.Float32*:CudaConvolution.Float32*:CudaGroupNorm.Float32*:CudaLinear.Float32*:CudaReduce.*:CudaUpdate.*',
};

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The machine's own first: it fits its driver. */
function findSanitizer() {
  const { PATH = '', CUDA_HOME = '/usr/local/cuda', COMPUTE_SANITIZER } = process.env;
  const folders = [...PATH.split(delimiter), join(CUDA_HOME, 'bin'), packagePath('build/gpu/sanitizer')];
  return [COMPUTE_SANITIZER, ...folders.map((folder) => join(folder, 'compute-sanitizer'))].find(
    (path) => path !== undefined && isProgram(path),
  );
}

const sanitizer = findSanitizer();
if (sanitizer === undefined) skip('no compute-sanitizer');
const parameters = ['--tool', tool, '--error-exitcode', '3', '--print-limit', '20', settings.tests];
const { status, signal, stdout, stderr } = spawnSync(
  sanitizer,
  [...parameters, `--gtest_filter=${filters[tool]}`, '--gtest_brief=1'],
  { encoding: 'utf8', maxBuffer: 2 ** 26 },
);
const output = `${stdout}${stderr}`;
console.error(output.slice(-8000).trim());
// Virtual machines do not always let it at their card.
const refused = /Device not supported|before first instrumented API call|Unable to find injection library/.exec(output);
if (refused !== null) skip(`compute-sanitizer cannot work here: ${refused[0]}`);
const summary = /(ERROR|RACECHECK) SUMMARY: .*/.exec(output)?.[0] ?? null;
const tests = Number(/(\d+) tests? from \d+ test suites? ran/.exec(output)?.[1] ?? 0);
printRow({ tool, sanitizer, tests, summary });
if (status !== 0) throw new Error(`compute-sanitizer ended with ${signal ?? status}: ${summary ?? 'no summary'}`);
if (summary === null || tests === 0) throw new Error('compute-sanitizer said nothing, or no test ran');
