// One network evaluation here and in other engines: same weights, outputs compared first, equal threads, arms alternated
// round by round. Prints a table of medians and ratios (theirs over ours at the same dtype).
//
//   cd bench/peers && npm install --ignore-scripts && node evaluate.mjs --help
//
// onnxruntime-node comes with `npm install`; PyTorch and OpenVINO take part after `scripts/setup --peers`.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import ort from 'onnxruntime-node';

import { writeSafetensors } from '../../dist/files/tensor-data.js';
import { benchNetworks } from '../../dist/cli/bench/networks.js';
import { loadRandomNetwork, randomTensors } from '../../dist/cli/bench/random-network.js';
import { Device } from '../../dist/index.js';
import { onnxFile } from '../../examples/onnxruntime/unet.mjs';
import { isInstalled, PythonArm } from './python-arm.mjs';
import { alternate, keep, printTable, relativeError, timeCalls } from './rounds.mjs';

const usage = `node evaluate.mjs [--network NAME] [--batch 1,4,16] [--threads N] [--rounds N] [--calls N] [--arms REGEX] [--json FILE]

  --network  ${Object.keys(benchNetworks).join(', ')}; default the first
  --calls    timed calls of an arm in a round; default 3
  --arms     only arms whose names match, besides our own, e.g. 'f32' or 'onnxruntime|compiled'
  --json     also keeps machine, versions and all rows in this file, one entry a network`;

const { values: options } = parseArgs({
  options: {
    network: { type: 'string', default: Object.keys(benchNetworks)[0] },
    batch: { type: 'string', default: '1,4,16' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '7' },
    calls: { type: 'string', default: '3' },
    arms: { type: 'string', default: '' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(usage);
  process.exit();
}
const threads = Number(options.threads);
const { unet, diffusers } = benchNetworks[options.network];

class OwnArm {
  name = 'dpm-native';

  constructor(dtype, exact = false) {
    this.dtype = dtype;
    this.exact = exact;
  }

  async open() {
    this.device = Device.open({ device: 'cpu', dtype: this.dtype, threads, exact: this.exact });
    this.unet = await loadRandomNetwork(this.device, unet);
  }

  async check(_folder, x, t) {
    const out = new Float32Array(x.length);
    this.run = () => this.unet.forward(x, t, { out });
    await this.run();
    return out;
  }

  time(calls) {
    return timeCalls(this.run, calls);
  }

  close() {
    return this.device.close();
  }
}

class OnnxRuntimeArm {
  name = 'onnxruntime-node';
  dtype = 'f32';
  version = `onnxruntime-node ${ort.env.versions.node}`;

  constructor(path) {
    this.path = path;
  }

  async open() {}

  async check(_folder, x, t, shape) {
    await this.session?.release();
    this.session = await ort.InferenceSession.create(this.path, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      freeDimensionOverrides: { batch: shape[0] },
    });
    const feeds = { x: new ort.Tensor('float32', x, shape), t: new ort.Tensor('float32', t, [shape[0]]) };
    this.run = () => this.session.run(feeds);
    return (await this.run()).epsilon.data;
  }

  time(calls) {
    return timeCalls(this.run, calls);
  }

  async close() {
    await this.session?.release();
  }
}

/** Writes the random weights as an ONNX file and, if diffusers knows the network, in a folder for it. */
async function writeModel(folder) {
  const tensors = new Map([...randomTensors(unet)].map(({ name, ...tensor }) => [name, tensor]));
  const onnx = join(folder, 'model.onnx');
  writeFileSync(
    onnx,
    onnxFile(unet, (name) => tensors.get(name)),
  );
  if (diffusers === null) return { onnx, model: null };
  const model = join(folder, 'unet');
  mkdirSync(model);
  writeFileSync(join(model, 'config.json'), JSON.stringify(diffusers));
  await writeSafetensors(join(model, 'diffusion_pytorch_model.safetensors'), tensors);
  return { onnx, model };
}

function peers({ onnx, model }) {
  const arms = [new OnnxRuntimeArm(onnx)];
  for (const dtype of ['f32', 'bf16']) {
    if (isInstalled('openvino')) arms.push(new PythonArm('OpenVINO', dtype, { engine: 'openvino', onnx }));
    if (model === null || !isInstalled('torch') || !isInstalled('diffusers')) continue;
    for (const mode of ['eager', 'channels_last', 'compiled']) {
      arms.push(new PythonArm(`PyTorch ${mode}`, dtype, { engine: 'torch', mode, model }));
    }
  }
  return arms.filter((arm) => new RegExp(options.arms, 'i').test(`${arm.name} ${arm.dtype}`));
}

const ownDtypes = (arms) => ['f32', 'bf16'].filter((dtype) => arms.some((arm) => arm.dtype === dtype));

/**
 * Differences beyond these are not rounding: the engines do not compute the same. Not all compute the sinusoids of the
 * time in float32, which is a large error in bfloat16.
 */
const tolerances = { f32: 1e-4, bf16: 0.3 };

async function compare(arms, reference, folder, batch) {
  const shape = [batch, unet.inChannels, unet.height, unet.width];
  const x = new Float32Array(shape.reduce((a, b) => a * b)).map((_, i) => Math.sin(i));
  const t = new Float32Array(batch).map((_, i) => 13 + 50 * i);
  const expected = await reference.check(folder, x, t, shape);
  const errors = new Map();
  for (const arm of arms) {
    const error = relativeError(await arm.check(folder, x, t, shape), expected);
    if (!(error < tolerances[arm.dtype])) throw new Error(`${arm.name} ${arm.dtype}, batch ${batch}: error ${error}`);
    errors.set(arm, error);
  }
  const times = await alternate(arms, { rounds: Number(options.rounds), calls: Number(options.calls) });
  return arms.map((arm) => {
    const own = arms.find((each) => each instanceof OwnArm && each.dtype === arm.dtype);
    const milliseconds = times.get(arm);
    const ratio = milliseconds / times.get(own);
    return {
      batch,
      arm: arm.name,
      dtype: arm.dtype,
      milliseconds,
      ratio,
      error: errors.get(arm),
    };
  });
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  const others = peers(await writeModel(folder));
  const reference = new OwnArm('f32', true);
  const arms = [...ownDtypes(others).map((dtype) => new OwnArm(dtype)), ...others];
  for (const arm of [reference, ...arms]) await arm.open(threads);
  const rows = [];
  for (const batch of options.batch.split(',').map(Number)) {
    rows.push(...(await compare(arms, reference, folder, batch)));
    console.error(`batch ${batch} done`);
  }
  for (const arm of [reference, ...arms]) await arm.close();
  printTable([
    ['batch', 'engine', 'dtype', 'ms', 'ratio', 'error'],
    ...rows.map((row) => [
      row.batch,
      row.arm,
      row.dtype,
      row.milliseconds.toFixed(1),
      row.ratio.toFixed(2),
      row.error.toExponential(1),
    ]),
  ]);
  const versions = [...new Set(others.map((arm) => arm.version))];
  console.log(versions.join(', '));
  if (options.json !== undefined) {
    keep(options.json, { subject: options.network, threads, device: reference.device.description, versions, rows });
  }
} finally {
  rmSync(folder, { recursive: true });
}
