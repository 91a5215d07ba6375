// Whole steps of training (forward, backward, clipping, Adam, average of the weights) here and in PyTorch: same weights and
// samples, losses and norms of the first steps compared first, equal threads, a process for each arm, arms alternated slice by
// slice. Prints medians, images a second, peak memory and ratios (theirs over ours).
//
//   scripts/setup --peers && cd bench/peers && node train.mjs --help
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { elementCount } from '../../dist/base/arrays.js';
import { loadableNetwork } from '../../dist/checkpoint/model-folder.js';
import { readModelFolder } from '../../dist/checkpoint/read-model.js';
import { normals, sampleStreams } from '../../dist/engine/normals.js';
import { Device } from '../../dist/index.js';
import { EngineProcess } from './engine-process.mjs';
import { guidedPairs } from './guided-pairs.mjs';
import { listed } from './options.mjs';
import { PythonArm, requireInstalled } from './python-arm.mjs';
import { alternate, keep, printTable } from './rounds.mjs';

/** The batches that networks are trained with. */
const usualBatches = { 'ddpm-cifar10-32': 16, mnist: 64 };
const knownModes = ['eager', 'channels_last', 'compiled'];

const usage = `node train.mjs [--network LIST] [--batch N] [--threads N] [--steps N] [--slices N] [--modes LIST] [--json FILE]

  --network  of ${Object.keys(usualBatches).join(', ')}; default all
  --batch    images of a step; default ${Object.entries(usualBatches)
    .map(([name, batch]) => `${batch} for ${name}`)
    .join(', ')}
  --steps    timed steps of an arm in a slice; default 3
  --slices   of each arm, in turns; default 7
  --modes    of PyTorch: ${knownModes.join(', ')}; default all
  --json     also keeps machine, versions and all rows in this file, one entry a network`;

const { values: options } = parseArgs({
  options: {
    network: { type: 'string', default: Object.keys(usualBatches).join() },
    batch: { type: 'string' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '3' },
    slices: { type: 'string', default: '7' },
    modes: { type: 'string', default: knownModes.join() },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit();
}
requireInstalled('torch', 'diffusers');

const threads = Number(options.threads);
const networks = listed(options, 'network', Object.keys(usualBatches));
const modes = listed(options, 'modes', knownModes);

/** The average follows so fast that it is no longer where it began when it is compared. */
const settings = { rate: 2e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: 1, averageDecay: 0.99 };

/** Steps that are compared before any is timed, each of a batch of its own. */
const firstSteps = 3;

/** Relative differences of losses, norms and distances beyond this are not rounding: the engines do not compute the same. */
const tolerance = 1e-3;

const relativeDifference = (value, expected) => Math.abs(value - expected) / Math.abs(expected);

/** The largest relative difference of two engines' losses and norms, step by step. */
function requireSame(what, found, expected) {
  let most = 0;
  for (const [quantity, name] of [
    ['losses', 'loss'],
    ['norms', "gradient's norm"],
  ]) {
    expected[quantity].forEach((value, step) => {
      const difference = relativeDifference(found[quantity][step], value);
      if (!(difference <= tolerance)) {
        throw new Error(`${what}: the ${name} of step ${step + 1} is ${found[quantity][step]}, here it is ${value}`);
      }
      most = Math.max(most, difference);
    });
  }
  console.error(
    `${what}: losses and norms of ${firstSteps} steps differ by at most ${most.toExponential(1)} of ${tolerance}`,
  );
  return most;
}

function requireSameDistance(what, found, expected) {
  const difference = relativeDifference(found, expected);
  console.error(`${what}: distances of averages from weights differ by ${difference.toExponential(1)} of ${tolerance}`);
  if (!(difference <= tolerance)) {
    throw new Error(`${what}: the average is ${found} from the weights after the last step, here it is ${expected}`);
  }
}

/** What every arm of a network is opened with: the model's folder, samples in files, the schedule. */
async function trainingRequest(folder, device, network, batch) {
  const model = await guidedPairs[network].model(folder);
  const read = await readModelFolder(model);
  const { unet } = await loadableNetwork(read, null);
  const { schedule } = read;
  const ofLevels = (value) => Array.from({ length: schedule.steps }, (_, i) => value(i + 1));

  const image = [unet.inChannels, unet.height, unet.width];
  const count = firstSteps * batch;
  const streams = sampleStreams(count, { seed: 1, record: 0, draw: 0 });
  const values = {
    images: Float32Array.from({ length: count * elementCount(image) }, (_, i) => Math.sin(i)),
    noise: await normals(device, image, streams),
    levels: Uint32Array.from({ length: count }, (_, i) => 1 + (((1 + i) * 613) % schedule.steps)),
  };
  const files = Object.fromEntries(Object.keys(values).map((name) => [name, join(folder, `${name}.bin`)]));
  for (const [name, file] of Object.entries(files)) writeFileSync(file, values[name]);
  return {
    model,
    settings,
    samples: { ...files, shape: [firstSteps, batch, ...image] },
    schedule: {
      signal: ofLevels((level) => schedule.alphaBar(level)),
      noise: ofLevels((level) => schedule.betaBar(level)),
      times: ofLevels((level) => schedule.networkTime(level)),
    },
  };
}

function ownArm(request) {
  const args = [fileURLToPath(new URL('own-training.mjs', import.meta.url))];
  return new EngineProcess('dpm-native', request, { program: process.execPath, args, env: {}, errors: 'inherit' });
}

function pytorchArm(request, mode) {
  const model = join(request.model, 'unet');
  return new PythonArm(`PyTorch ${mode}`, 'f32', { ...request, engine: 'torch-training', mode, model });
}

/** Opens an arm and takes the first steps. */
async function begin(arm) {
  await arm.open(threads);
  return arm.ask({ op: 'learn', steps: firstSteps });
}

/** The same for PyTorch; null if the network cannot be compiled. */
async function beginOther(network, arm) {
  if (arm.request.mode !== 'compiled') return begin(arm);
  try {
    return await begin(arm);
  } catch (error) {
    console.error(`${network}, left out: ${error.message.split('\n', 1)[0]}`);
    await arm.close();
    return null;
  }
}

/** Opens the arms that can train the network, with the difference of each from ours in the first steps. */
async function openArms(network, request) {
  const own = ownArm(request);
  const expected = await begin(own);
  const arms = new Map([[own, 0]]);
  for (const mode of modes) {
    const arm = pytorchArm(request, mode);
    const found = await beginOther(network, arm);
    if (found !== null) arms.set(arm, requireSame(`${network}, ${arm.name}`, found, expected));
  }
  return arms;
}

async function networkRows(folder, device, network) {
  const batch = Number(options.batch ?? usualBatches[network]);
  const differences = await openArms(network, await trainingRequest(folder, device, network, batch));
  const arms = [...differences.keys()];
  const [own, ...others] = arms;
  const times = await alternate(arms, { rounds: Number(options.slices), calls: Number(options.steps) });
  // Before distances are computed, which takes memory that training does not.
  const peaks = new Map(arms.map((arm) => [arm, arm.peakBytes()]));
  const { distance } = await own.ask({ op: 'distance' });
  for (const arm of others) {
    requireSameDistance(`${network}, ${arm.name}`, (await arm.ask({ op: 'distance' })).distance, distance);
  }
  for (const arm of arms) await arm.close();
  const rows = arms.map((arm) => ({
    network,
    batch,
    arm: arm.name,
    milliseconds: times.get(arm),
    ratio: times.get(arm) / times.get(own),
    imagesPerSecond: (1000 * batch) / times.get(arm),
    peakMebibytes: peaks.get(arm) / 2 ** 20,
    memoryRatio: peaks.get(arm) / peaks.get(own),
    difference: differences.get(arm),
  }));
  return { rows, versions: [...new Set(others.map(({ version }) => version))] };
}

function printRows(rows) {
  printTable([
    ['network', 'batch', 'engine', 'ms a step', 'ratio', 'images/s', 'peak MiB', 'ratio of memory', 'difference'],
    ...rows.map((row) => [
      row.network,
      row.batch,
      row.arm,
      row.milliseconds.toFixed(1),
      row.ratio.toFixed(2),
      row.imagesPerSecond.toFixed(1),
      row.peakMebibytes.toFixed(0),
      row.memoryRatio.toFixed(2),
      row.difference.toExponential(1),
    ]),
  ]);
}

const device = Device.open({ device: 'cpu', threads });
const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  for (const network of networks) {
    const inside = join(folder, network);
    mkdirSync(inside);
    const { rows, versions } = await networkRows(inside, device, network);
    printRows(rows);
    console.log([device.description, ...versions].join(', '));
    if (options.json !== undefined) {
      const subject = `training of ${network}`;
      keep(options.json, { subject, threads, device: device.description, versions, rows });
    }
  }
  await device.close();
} finally {
  rmSync(folder, { recursive: true });
}
