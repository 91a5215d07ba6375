// A guided step and a decode of a text-to-image pipeline here, in PyTorch with diffusers and in OpenVINO: same weights, outputs
// compared first, equal threads, arms alternated round by round. Prints medians and ratios (theirs over ours).
//
//   node evaluate.mjs FOLDER --help
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Autoencoder, ConditionalUNet, Device } from '../../../dist/index.js';
import { isInstalled, PythonArm } from '../python-arm.mjs';
import { alternate, keep, printTable, relativeError, timeCalls } from '../rounds.mjs';

const usage = `node evaluate.mjs FOLDER [--part unet|decoder] [--side 512] [--dtype f32,bf16] [--threads N] [--rounds N] [--calls N]
                        [--arms REGEX] [--json FILE]

  FOLDER   pipeline in diffusers' layout; full-size.py writes one of a public model's shapes with random weights
  --part   unet: an evaluation of two states with two prompts, which a guided step takes; decoder: one image. Default unet
  --arms   only arms whose names match, besides our own
  --json   also keeps machine, versions and all rows in this file`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    part: { type: 'string', default: 'unet' },
    side: { type: 'string', default: '512' },
    dtype: { type: 'string', default: 'f32' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    calls: { type: 'string', default: '1' },
    arms: { type: 'string', default: '' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
const [model] = positionals;
if (options.help || model === undefined) {
  console.log(usage);
  process.exit();
}
const threads = Number(options.threads);
const isStep = options.part === 'unet';

/** Differences beyond these are not rounding: the engines do not compute the same. */
const tolerances = { f32: 1e-3, bf16: 0.1 };

const wave = (length, frequency) => Float32Array.from({ length }, (_, i) => Math.sin(frequency * (i + 1)));

class OwnArm {
  name = 'dpm-native';

  constructor(dtype) {
    this.dtype = dtype;
  }

  async open() {
    const start = performance.now();
    this.device = Device.open({ device: 'cpu', dtype: this.dtype, threads });
    const kind = isStep ? ConditionalUNet : Autoencoder;
    this.network = await kind.load(join(model, isStep ? 'unet' : 'vae'), { device: this.device });
    this.opened = performance.now() - start;
  }

  async check(_folder, x, t, [batch, , height, width], { vector }) {
    if (isStep) {
      const context = await this.network.prepare(vector, batch);
      this.run = () => this.network.forward(x, t, { height, width, context });
    } else {
      const { factor } = this.network;
      this.run = () => this.network.decode(x, { height: height * factor, width: width * factor });
    }
    return this.run();
  }

  time(calls) {
    return timeCalls(this.run, calls);
  }

  async close() {
    await this.network.close();
    await this.device.close();
  }
}

function peers(dtype) {
  const script = 'text-to-image';
  const arms = ['eager', 'channels_last'].map(
    (mode) => new PythonArm(`PyTorch ${mode}`, dtype, { engine: `${script}-torch`, part: options.part, mode, model }),
  );
  if (isInstalled('openvino')) {
    arms.push(new PythonArm('OpenVINO', dtype, { engine: `${script}-openvino`, part: options.part, model }));
  }
  return arms.filter(({ name }) => new RegExp(options.arms, 'i').test(name));
}

async function compare(dtype, folder) {
  const own = new OwnArm(dtype);
  const arms = [own, ...peers(dtype)];
  const side = Number(options.side) / 8;
  const shape = [isStep ? 2 : 1, 4, side, side];
  const x = wave(
    shape.reduce((a, b) => a * b),
    1,
  );
  const t = new Float32Array(shape[0]).fill(500);
  await own.open();
  const vectorShape = [2, 77, isStep ? own.network.contextWidth : 1];
  const vector = wave(
    vectorShape.reduce((a, b) => a * b),
    0.7,
  );
  const work = isStep ? { vector, vectorShape } : {};
  const expected = await own.check(folder, x, t, shape, work);
  const differences = new Map([[own, 0]]);
  for (const arm of arms.slice(1)) {
    await arm.open(threads);
    const difference = relativeError(await arm.check(folder, x, t, shape, work), expected, Number.MIN_VALUE);
    console.error(`${arm.name} ${dtype} (${arm.version}): largest relative difference ${difference.toExponential(1)}`);
    if (!(difference <= tolerances[dtype])) throw new Error(`${arm.name} differs by ${difference}`);
    differences.set(arm, difference);
  }
  const medians = await alternate(arms, { rounds: Number(options.rounds), calls: Number(options.calls) });
  for (const arm of arms) await arm.close();
  return arms.map((arm) => ({
    arm: arm.name,
    dtype,
    seconds: medians.get(arm) / 1000,
    ratio: medians.get(arm) / medians.get(own),
    difference: differences.get(arm),
    version: arm.version,
  }));
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  const rows = [];
  for (const dtype of options.dtype.split(',')) rows.push(...(await compare(dtype, folder)));
  printTable([
    ['arm', 'dtype', 'seconds', 'ratio'],
    ...rows.map(({ arm, dtype, seconds, ratio }) => [arm, dtype, seconds.toFixed(2), ratio.toFixed(2)]),
  ]);
  const subject = `${options.part} at ${options.side}`;
  if (options.json !== undefined) keep(options.json, { subject, threads, rows });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
