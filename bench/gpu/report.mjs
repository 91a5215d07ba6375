// Runs the stages and writes FOLDER/gpu-check.json and FOLDER/gpu-check.md after each of them. Started by scripts/gpu-check,
// which says what the options are.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { toMarkdown } from './markdown.mjs';
import { describePython } from './python.mjs';
import { runStage } from './run-stage.mjs';
import { checkReport, FORMAT } from './schema.mjs';
import { packagePath } from './settings.mjs';
import { LONGEST_SECONDS, stages } from './stages.mjs';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: 'build/gpu-check' },
    stages: { type: 'string' },
    limit: { type: 'string', default: String(LONGEST_SECONDS) },
    quick: { type: 'boolean', default: false },
    'self-test': { type: 'boolean', default: false },
  },
});
const selfTest = options['self-test'];
const deadline = performance.now() + 1000 * Number(options.limit);
const out = resolve(options.out);
const jsonFile = join(out, 'gpu-check.json');
mkdirSync(out, { recursive: true });

function chosenStages() {
  if (options.stages === undefined) return stages;
  const wanted = options.stages.split(',');
  const unknown = wanted.find((each) => !stages.some(({ name }) => name === each));
  if (unknown !== undefined) {
    console.error(`gpu-check: no stage '${unknown}'; stages: ${stages.map(({ name }) => name).join(',')}`);
    process.exit(2);
  }
  // Without the first nobody knows what the others were measured with.
  return stages.filter(({ name }) => name === 'versions' || wanted.includes(name));
}

const python = selfTest ? null : describePython();
const settings = {
  quick: options.quick,
  selfTest,
  out,
  tests: packagePath(selfTest ? 'build/cmake/Release/dpm_native_tests' : 'build/gpu/bin/dpm_device_tests'),
  describeCard: selfTest ? '' : packagePath('build/gpu/bin/dpm_describe_card'),
  python,
};
const plugin = selfTest ? 'build/cmake/Release/emulated/libdpm_cuda_emulated.so' : 'build/gpu/bin/libdpm_cuda.so';
const environment = { ...process.env };
// Where nothing was built the search for a driver says so.
if (existsSync(packagePath(plugin))) environment.DPM_CUDA_PLUGIN = packagePath(plugin);
if (python?.cudnn != null) environment.DPM_CUDNN_PATH ??= join(python.cudnn, 'lib');

/** What an earlier run on the same machine has left for stages that this one does not run. */
function earlierStages(machine, mode) {
  if (options.stages === undefined || !existsSync(jsonFile)) return [];
  const earlier = JSON.parse(readFileSync(jsonFile, 'utf8'));
  const isSame =
    earlier.mode === mode && ['card', 'driver', 'processor'].every((key) => earlier.machine[key] === machine[key]);
  return isSame ? earlier.stages : [];
}

function write(done, machine, mode) {
  const known = new Map([...earlierStages(machine, mode), ...done].map((stage) => [stage.name, stage]));
  const all = stages.map(({ name }) => known.get(name)).filter((stage) => stage !== undefined);
  const count = (wanted) => all.filter(({ status }) => status === wanted).length;
  const counts = { passed: count('ok'), failed: count('failed'), skipped: count('skipped') };
  const date = new Date().toISOString().slice(0, 10);
  const report = { format: FORMAT, date, mode, quick: options.quick, machine, stages: all, ...counts };
  checkReport(report);
  writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(out, 'gpu-check.md'), toMarkdown(report));
}

function skipped(name, reason) {
  const started = new Date().toISOString();
  return { name, status: 'skipped', reason, seconds: 0, limit: 0, started, rows: [], said: '' };
}

const done = [];
let machine = {};
let mode = selfTest ? 'self-test' : 'no card';
for (const stage of chosenStages()) {
  const left = (deadline - performance.now()) / 1000;
  let result;
  if (mode === 'no card' && stage.without !== true) result = skipped(stage.name, 'no CUDA device');
  else if (left < 10) result = skipped(stage.name, 'no time left');
  else result = await runStage(stage, settings, Math.min(stage.seconds, left), environment);
  if (stage.name === 'versions') {
    machine = result.rows[0] ?? {};
    // A card that cannot be used fails all that needs it.
    if (!selfTest && (machine.usable === true || result.status === 'failed')) mode = 'card';
  }
  done.push(result);
  write(done, machine, mode);
  const { name, status, reason, seconds } = result;
  console.log(`gpu-check: ${name}: ${status}${reason === null ? '' : `: ${reason}`} (${seconds} s)`);
}
const count = (wanted) => done.filter(({ status }) => status === wanted).length;
const failed = count('failed');
console.log(`gpu-check: ${count('ok')} passed, ${failed} failed, ${count('skipped')} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
