// NVIDIA's compute-sanitizer on a part of the tests that every kernel takes part in: our kernels alone, without cuDNN, one suite
// a process.
//
//   node sanitizer.mjs memcheck|racecheck|synccheck|initcheck
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { follow } from './follow.mjs';
import { printRow, settings, skip } from './settings.mjs';
import { listSuites } from './suites.mjs';

const [tool] = process.argv.slice(2);
const shared =
  'CudaAttention.Float32*:CudaConvolution.Float32*:CudaGroupNorm.Float32*:CudaLinear.Float32*:CudaReduce.*:CudaUpdate.*:' +
  'CudaAttentionWide/1.AgreesWith*:CudaSmallConvolution/1.Every*:CudaPrediction/1.Is*:CudaFinishStep/2.Equals*';
const filters = {
  memcheck:
    'Cuda*-CudaDevice.RandomG*:CudaSequences.LeaveOne*:CudaRuns.M*:CudaRuns.S*:CudaRuns.ACancelled*:CudaRuns.P*:*LargeScores*:*ASampleGets*',
  // Only these suites share memory between the threads of a block.
  racecheck: shared,
  synccheck: shared,
  initcheck: `${shared}:CudaConvert.*:CudaResample.Float32*:CudaRuns.AWhole*`,
};
/** The suites for a self-test, which only has to pass through this file. */
const filter = settings.selfTest ? 'CudaTimeEmbedding.*:CudaGather.*' : filters[tool];
/** A part of the mangled names of all our kernels. */
const NAMESPACE = '3dpm4cuda';

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function findSanitizer() {
  const { PATH = '', CUDA_HOME = '/usr/local/cuda', COMPUTE_SANITIZER } = process.env;
  const folders = [...PATH.split(delimiter), join(CUDA_HOME, 'bin')];
  return [COMPUTE_SANITIZER, ...folders.map((folder) => join(folder, 'compute-sanitizer'))].find(
    (path) => path !== undefined && isProgram(path),
  );
}

/** The filter for our kernels, which has another name in older sanitizers. */
function kernelFilter(sanitizer) {
  const { stdout } = spawnSync(sanitizer, ['--help'], { encoding: 'utf8', timeout: 30_000 });
  const option = ['--kernel-name', '--kernel-regex', '--filter'].find((each) => stdout?.includes(`${each} `));
  return option === undefined ? [] : [option, `kns=${NAMESPACE}`];
}

/** Prints the row, and returns the fault or null. */
async function runSuite(sanitizer, common, { suite, filter: own }) {
  let [summary, refused, tests] = [null, null, 0];
  const onLine = (line) => {
    console.error(line);
    summary = /(ERROR|RACECHECK) SUMMARY: .*/.exec(line)?.[0] ?? summary;
    // Some virtual machines do not let the sanitizer use their card.
    refused ??= /Device not supported|before first instrumented API call|Unable to find injection library/.exec(line);
    tests = Number(/(\d+) tests? from \d+ test suites? ran/.exec(line)?.[1] ?? tests);
  };
  const parameters = [...common, settings.tests, `--gtest_filter=${own}`, '--gtest_brief=1'];
  const { status, why } = await follow(sanitizer, parameters, {
    environment: { DPM_CUDNN: 'off' },
    onLine,
    onNote: onLine,
  });
  if (refused !== null) skip(`compute-sanitizer cannot work here: ${refused[0]}`);
  printRow({ tool, suite, tests, summary });
  if (status !== 0) return `${suite}: ${why}: ${summary ?? 'no summary'}`;
  return summary === null || tests === 0 ? `${suite}: compute-sanitizer said nothing, or no test ran` : null;
}

const sanitizer = findSanitizer();
if (sanitizer === undefined) skip('no compute-sanitizer');
const common = ['--tool', tool, ...kernelFilter(sanitizer), '--error-exitcode', '3', '--print-limit', '20'];
const problems = [];
for (const suite of listSuites(settings.tests, filter)) problems.push(await runSuite(sanitizer, common, suite));
const found = problems.filter((problem) => problem !== null);
if (problems.length === 0) throw new Error('no test was chosen');
if (found.length > 0) throw new Error(found[0]);
