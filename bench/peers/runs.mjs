// Whole runs of DDIM on bundled models here and in diffusers: same weights, noise and timesteps, images compared first, equal
// threads, arms alternated round by round. Prints medians and ratios (theirs over ours).
//
//   scripts/setup --peers && cd bench/peers && node runs.mjs --help
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { DiffusionModel } from '../../dist/index.js';
import { listed } from './options.mjs';
import { PythonArm, requireInstalled } from './python-arm.mjs';
import { alternate, keep, printTable, relativeError, timeCalls } from './rounds.mjs';

const known = ['mnist', 'fashion-mnist'];

const usage = `node runs.mjs [--models LIST] [--images 1,16,64] [--steps N] [--threads N] [--rounds N] [--modes LIST] [--json FILE]

  --models  of ${known.join(', ')}; default both
  --images  drawn at once; default 1,16,64
  --steps   of a run; default 25
  --modes   of PyTorch: eager, channels_last (eager), compiled; default all
  --json    also keeps machine, versions and all rows in this file, one entry a model`;

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: known.join() },
    images: { type: 'string', default: '1,16,64' },
    steps: { type: 'string', default: '25' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    modes: { type: 'string', default: 'eager,channels_last,compiled' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit();
}
requireInstalled('torch', 'diffusers');

const [threads, rounds, steps] = [options.threads, options.rounds, options.steps].map(Number);
const models = listed(options, 'models', known);
const modes = listed(options, 'modes', ['eager', 'channels_last', 'compiled']);

/** Differences of levels of -1 to 1 beyond this are not rounding: the engines do not run the same. */
const tolerance = 1e-3;

/** Copies a model, its scheduler made DDIM's: what both engines read the run from. */
function withDdim(model, folder) {
  cpSync(fileURLToPath(new URL(`../../models/${model}`, import.meta.url)), folder, { recursive: true });
  const file = join(folder, 'scheduler/scheduler_config.json');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...config, _class_name: 'DDIMScheduler', timestep_spacing: 'trailing' }));
}

class OwnArm {
  name = 'dpm-native';

  async open(folder) {
    this.model = await DiffusionModel.load(folder, { device: 'cpu', threads });
  }

  async check(_folder, init, _t, [count]) {
    this.run = () => this.model.sample({ sampler: 'scheduler', steps, init, count, batch: count });
    return (await this.run()).images.data;
  }

  time(calls) {
    return timeCalls(this.run, calls);
  }
}

async function compare(arms, model, shape, folder) {
  const init = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => 1.4 * Math.sin(1.7 * i * i + i));
  const expected = await arms[0].check(folder, init, undefined, shape);
  const errors = [0];
  for (const arm of arms.slice(1)) {
    const error = relativeError(await arm.check(folder, init, new Float32Array(0), shape), expected);
    if (!(error < tolerance)) throw new Error(`${arm.name}, ${model}, ${shape[0]} images: they differ by ${error}`);
    errors.push(error);
  }
  const times = await alternate(arms, { rounds, calls: 1 });
  return arms.map((arm, index) => ({
    model,
    images: shape[0],
    arm: arm.name,
    milliseconds: times.get(arm),
    ratio: times.get(arm) / times.get(arms[0]),
    error: errors[index],
  }));
}

async function measure(model, parent) {
  const folder = join(parent, model);
  withDdim(model, folder);
  const own = new OwnArm();
  await own.open(folder);
  const request = { engine: 'torch-run', model: join(folder, 'unet'), scheduler: join(folder, 'scheduler'), steps };
  const peers = modes.map((mode) => new PythonArm(`diffusers ${mode}`, 'f32', { ...request, mode }));
  for (const peer of peers) await peer.open(threads);
  const rows = [];
  for (const images of options.images.split(',').map(Number)) {
    rows.push(...(await compare([own, ...peers], model, [images, ...own.model.sampleShape], parent)));
    console.error(`${model}, ${images} images done`);
  }
  const device = own.model.device.description;
  for (const each of [...peers, own.model]) await each.close();
  const versions = [...new Set(peers.map(({ version }) => version))];
  if (options.json !== undefined) {
    keep(options.json, { subject: `${model}, DDIM, ${steps} steps`, threads, device, versions, rows });
  }
  return { rows, versions };
}

const parent = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  const rows = [];
  let versions = [];
  for (const model of models) {
    const measured = await measure(model, parent);
    rows.push(...measured.rows);
    versions = measured.versions;
  }
  printTable([
    ['model', 'images', 'engine', 'ms', 'ratio', 'error'],
    ...rows.map((row) => [
      row.model,
      row.images,
      row.arm,
      row.milliseconds.toFixed(1),
      row.ratio.toFixed(2),
      row.error.toExponential(1),
    ]),
  ]);
  console.log(versions.join(', '));
} finally {
  rmSync(parent, { recursive: true });
}
