// Derivatives of a network by its image, and steps that a classifier guides, here and in PyTorch: same weights, results
// compared first, equal threads, arms alternated round by round. Prints medians and ratios (theirs over ours).
//
//   scripts/setup --peers && cd bench/peers && node derivatives.mjs --help
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Classifier, Device, DiffusionModel } from '../../dist/index.js';
import { guidedPairs, writeRandomModel } from './guided-pairs.mjs';
import { listed } from './options.mjs';
import { PythonArm, requireInstalled } from './python-arm.mjs';
import { alternate, keep, printTable, relativeError, timeCalls } from './rounds.mjs';

/** The parts that are timed for ddpm-cifar10-32 alone. A guided step takes a network and its classifier. */
const derivatives = ['forward', 'vjp', 'jvp'];

const usage = `node derivatives.mjs [--work LIST] [--pairs LIST] [--batch 1,16] [--threads N] [--rounds N] [--calls N] [--steps N]
                     [--modes LIST] [--json FILE]

  --work    of ${derivatives.join(', ')}, guided; default all
  --pairs   networks and classifiers for guided steps: ${Object.keys(guidedPairs).join(', ')}; default all
  --calls   timed calls of an arm in a round; default 3; of guided runs, which are several steps, one
  --steps   of a guided run; default 5
  --modes   of PyTorch: channels_last (eager), compiled; default both
  --json    also keeps machine, versions and all rows in this file`;

const { values: options } = parseArgs({
  options: {
    work: { type: 'string', default: [...derivatives, 'guided'].join() },
    pairs: { type: 'string', default: Object.keys(guidedPairs).join() },
    batch: { type: 'string', default: '1,16' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    calls: { type: 'string', default: '3' },
    steps: { type: 'string', default: '5' },
    modes: { type: 'string', default: 'channels_last,compiled' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit();
}
requireInstalled('torch', 'diffusers');

const [threads, rounds] = [Number(options.threads), Number(options.rounds)];
const works = listed(options, 'work', [...derivatives, 'guided']);
const pairs = listed(options, 'pairs', Object.keys(guidedPairs));
const modes = listed(options, 'modes', ['channels_last', 'compiled']);
const batches = options.batch.split(',').map(Number);

/** Differences beyond this are not rounding: the engines do not compute the same. */
const tolerance = 1e-3;

function requireSame(what, values, expected) {
  const difference = relativeError(values, expected, Number.MIN_VALUE);
  console.error(`${what}: largest relative difference ${difference.toExponential(1)}`);
  if (!(difference <= tolerance)) throw new Error(`${what}: the results differ by ${difference}`);
  return difference;
}

/** Checks that a guide has an effect, as a guide that does nothing would pass otherwise. */
function requireMoved(network, guided, unguided) {
  const moved = relativeError(guided, unguided, Number.MIN_VALUE);
  if (!(moved > 10 * tolerance)) throw new Error(`${network}: the classifier moves the images by ${moved} only`);
}

const elements = (shape) => shape.reduce((product, size) => product * size, 1);

/** Makes values of order one that differ between images. */
const wave = (length, frequency) => Float32Array.from({ length }, (_, i) => Math.sin(frequency * (i + 1)));

/** Makes a call of ours, which resolves to the result. */
function ownWork(unet, x, t, vector) {
  const [out, result] = [new Float32Array(x.length), new Float32Array(x.length)];
  return {
    forward: async () => (await unet.forward(x, t, { out })).out,
    vjp: async () => (await unet.pullback(x, t, { cotangent: vector, out, gradient: result })).gradient,
    jvp: async () => (await unet.pushforward(x, t, { tangent: vector, out, outTangent: result })).tangent,
  };
}

/** Compares each peer's result with ours, then times all of them. A row has milliseconds for one of the `parts` of a call. */
async function compare(subject, run, peers, { parts, calls }) {
  const expected = await run();
  const differences = [0];
  for (const peer of peers) {
    differences.push(requireSame(`${Object.values(subject).join(', ')}, ${peer.name}`, await peer.check(), expected));
  }
  const arms = [{ name: 'dpm-native', time: (count) => timeCalls(run, count) }, ...peers];
  const times = await alternate(arms, { rounds, calls });
  return arms.map((arm, index) => ({
    ...subject,
    arm: arm.name,
    milliseconds: times.get(arm) / parts,
    ratio: times.get(arm) / times.get(arms[0]),
    difference: differences[index],
  }));
}

async function openPeers(request) {
  const engines = modes.map((mode) => new PythonArm(`PyTorch ${mode}`, 'f32', { ...request, mode }));
  for (const engine of engines) await engine.open(threads);
  for (const { version } of engines) versions.add(version);
  return engines;
}

/** torch.compile cannot make a graph of torch.func.jvp. */
const able = (work) => (engine) => work !== 'jvp' || engine.request.mode !== 'compiled';

async function derivativeRows(folder) {
  const network = 'ddpm-cifar10-32';
  const path = await writeRandomModel(folder, network);
  const model = await DiffusionModel.load(path, { device: 'cpu', threads });
  const engines = await openPeers({ engine: 'torch-derivatives', model: join(path, 'unet') });
  const rows = [];
  for (const batch of batches) {
    const shape = [batch, ...model.sampleShape];
    const length = elements(shape);
    const [x, vector] = [wave(length, 1), wave(length, 3)];
    const t = Float32Array.from({ length: batch }, (_, i) => 13 + 50 * i);
    const own = ownWork(model.unet, x, t, vector);
    for (const work of derivatives.filter((each) => works.includes(each))) {
      const peers = engines.filter(able(work)).map((engine) => ({
        name: engine.name,
        check: () => engine.check(folder, x, t, shape, { vector, work }),
        time: (count) => engine.time(count, work),
      }));
      rows.push(
        ...(await compare({ work, network, batch }, own[work], peers, { parts: 1, calls: Number(options.calls) })),
      );
    }
  }
  for (const each of [...engines, model]) await each.close();
  return rows;
}

/**
 * The steps of a run: its times, and for PyTorch the alpha bar at each and after it. At noisier times a data prediction is the
 * network's divided by up to 160, and its rounding as large.
 */
function runSteps(schedule) {
  const count = Number(options.steps);
  const timesteps = Array.from(
    { length: count },
    (_, k) => Math.round((0.6 * schedule.steps * (count - k)) / count) - 1,
  );
  const alphaBars = [...timesteps.map((time) => schedule.alphaBar(time + 1)), 1];
  return { timesteps, steps: timesteps.map((time, k) => [time, alphaBars[k], alphaBars[k + 1]]) };
}

async function guidedRows(folder, network) {
  const pair = guidedPairs[network];
  const [path, classifierPath] = [await pair.model(folder), await pair.classifier(folder)];
  const model = await DiffusionModel.load(path, { device: 'cpu', threads });
  const classifier = await Classifier.load(classifierPath, { device: model.device });
  const { timesteps, steps } = runSteps(model.schedule);
  const { scale } = pair;
  const request = { engine: 'torch-guided', model: join(path, 'unet'), classifier: classifierPath, steps, scale };
  const engines = await openPeers(request);
  const rows = [];
  for (const batch of batches) {
    const shape = [batch, ...model.sampleShape];
    const init = wave(elements(shape), 1);
    const labels = Float32Array.from({ length: batch }, (_, i) => (3 * i + 1) % classifier.classes);
    const sample = async (guides) => {
      const run = { sampler: 'ddim', timesteps, clippedNoise: true, init, count: batch, batch, guides };
      return (await model.sample(run)).images.data;
    };
    const guided = () => sample([classifier.guide({ labels, scale })]);
    requireMoved(network, await guided(), await sample([]));
    const peers = engines.map((engine) => ({
      name: engine.name,
      check: () => engine.check(folder, init, labels, shape),
      time: (count) => engine.time(count),
    }));
    const subject = { work: 'guided step', network, batch };
    rows.push(...(await compare(subject, guided, peers, { parts: timesteps.length, calls: 1 })));
  }
  for (const each of [...engines, classifier, model]) await each.close();
  return rows;
}

async function deviceDescription() {
  const device = Device.open({ device: 'cpu', threads });
  await device.close();
  return device.description;
}

function printRows(rows) {
  printTable([
    ['work', 'network', 'batch', 'engine', 'ms', 'ratio', 'difference'],
    ...rows.map((row) => [
      row.work,
      row.network,
      row.batch,
      row.arm,
      row.milliseconds.toFixed(1),
      row.ratio.toFixed(2),
      row.difference.toExponential(1),
    ]),
  ]);
}

const versions = new Set();
const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  const inside = (name) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const rows = works.some((work) => derivatives.includes(work)) ? await derivativeRows(inside('network')) : [];
  if (works.includes('guided')) {
    for (const network of pairs) rows.push(...(await guidedRows(inside(`guided-${network}`), network)));
  }
  printRows(rows);
  console.log([...versions].join(', '));
  if (options.json !== undefined) {
    const device = await deviceDescription();
    keep(options.json, { subject: 'derivatives', threads, device, versions: [...versions], rows });
  }
} finally {
  rmSync(folder, { recursive: true });
}
