// One fused DDPM update (epsilon, clipped, fixed variance, noise drawn) from JavaScript against the same tensor operations
// in PyTorch, eagerly: means compared first, equal threads, arms alternated round by round.
//
//   scripts/setup --peers && cd bench/peers && node update.mjs [--threads N] [--rounds N] [--json FILE]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Device, linear, stepRecord } from '../../dist/index.js';
import { packRecord } from '../../dist/program/pack.js';
import { PythonArm } from './python-arm.mjs';
import { alternate, keep, printTable, relativeError, timeCalls } from './rounds.mjs';

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '9' },
    json: { type: 'string' },
  },
});
const threads = Number(options.threads);
const elements = 3 * 32 * 32;
/** The numbers of images, and of calls of an arm in a round. */
const sizes = [
  [1, 1000],
  [128, 50],
];
const coefficients = { beta_root: 0.6, alpha_root: 0.8, data: 0.1, state: 0.9, deviation: 0.1 };

class OwnArm {
  name = 'dpm-native';

  open() {
    this.device = Device.open({ device: 'cpu', threads });
  }

  record(variance) {
    const { beta_root: betaRoot, alpha_root: alphaRoot, data, state } = coefficients;
    const record = stepRecord({
      time: 500,
      prediction: { input: 1 / alphaRoot, output: -betaRoot / alphaRoot },
      clip: { kind: 'static', low: -1, high: 1 },
      store: { slot: 0, input: 0, data: 1 },
      x: linear({ x: state, history: [data] }),
      variance,
    });
    return packRecord(record, false);
  }

  async check(_folder, x, epsilon, [batch]) {
    this.x?.free();
    this.out?.free();
    [this.x, this.out] = [this.device.tensor([batch, elements]), this.device.tensor([batch, elements])];
    await this.x.write(x);
    await this.out.write(epsilon);
    const registers = {
      x: this.x.native,
      y: null,
      out: this.out.native,
      head: null,
      noise: null,
      history: [null, null],
    };
    const streams = new Uint32Array(5 * batch);
    for (let n = 0; n < batch; ++n) streams[5 * n + 2] = n;
    const updateWith = (variance) => {
      const record = this.record(variance);
      const records = new Uint8Array(batch * record.length);
      for (let n = 0; n < batch; ++n) records.set(record, n * record.length);
      return () => this.device.engine.update(batch, elements, records, registers, streams);
    };
    await updateWith({ kind: 'none' })();
    const mean = await this.x.read();
    await this.x.write(x);
    this.run = updateWith({ kind: 'scalar', deviation: coefficients.deviation });
    return mean;
  }

  time(calls) {
    return timeCalls(this.run, calls);
  }

  close() {
    return this.device.close();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'dpm-peers-'));
try {
  const arms = [new OwnArm(), new PythonArm('PyTorch eager', 'f32', { engine: 'torch-update', coefficients })];
  for (const arm of arms) await arm.open(threads);
  const rows = [];
  for (const [batch, calls] of sizes) {
    const x = new Float32Array(batch * elements).map((_, i) => Math.sin(i));
    const epsilon = x.map((_, i) => Math.cos(3 * i));
    const means = [];
    for (const arm of arms) means.push(await arm.check(folder, x, epsilon, [batch, elements]));
    const error = relativeError(...means);
    if (!(error < 1e-6)) throw new Error(`the updates differ by ${error} for ${batch} images`);
    const times = await alternate(arms, { rounds: Number(options.rounds), calls });
    const [own, other] = arms.map((arm) => 1000 * times.get(arm));
    rows.push({ images: batch, microseconds: own, pytorchMicroseconds: other, ratio: other / own, error });
  }
  for (const arm of arms) await arm.close();
  printTable([
    ['images of 3x32x32', 'here, us', 'PyTorch eager, us', 'ratio'],
    ...rows.map((row) => [
      row.images,
      row.microseconds.toFixed(1),
      row.pytorchMicroseconds.toFixed(1),
      row.ratio.toFixed(1),
    ]),
  ]);
  const version = arms[1].version;
  console.log(version);
  if (options.json !== undefined) keep(options.json, { subject: 'DDPM update', threads, versions: [version], rows });
} finally {
  rmSync(folder, { recursive: true });
}
