// Programs that begin by adding noise to x, or by copying x to y, before any record asks the network.
import '../../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { DiffusionModel } from '../../../lib/model.js';
import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { maxDifference } from '../../support/golden.js';
import { normals } from '../../support/philox.js';
import { packagePath } from '../../support/temporary.js';

const seed = 5;
const elements = 28 * 28;
const init = Float32Array.from({ length: 2 * elements }, (_, i) => Math.sin(i));

const noisy = stepRecord({
  time: 0,
  evaluate: false,
  x: linear({ x: 0.5 }),
  variance: { kind: 'scalar', deviation: 2 },
});
const copied = stepRecord({ time: 0, evaluate: false, y: linear({ x: 1 }) });
const evaluated = stepRecord({ time: 700, read: 'y', x: linear({ y: 0.25, out: -1 }) });

/** Applies the noisy record to `state`, for samples from the first on. */
function withNoise(state: Float32Array, record: number): Float32Array {
  return state.map((value, i) => {
    const sampleIndex = Math.floor(i / elements);
    return 0.5 * value + 2 * at(sampleIndex, record)[i % elements]!;
  });
}

const streams = new Map<string, Float64Array>();

function at(sampleIndex: number, record: number): Float64Array {
  const name = `${sampleIndex} ${record}`;
  const known = streams.get(name) ?? normals({ seed: [seed, 0], sampleIndex, record, draw: 0 }, elements);
  streams.set(name, known);
  return known;
}

describe.each(['cpu', 'reference', 'cuda:0'])('records before the first evaluation on %s', (device) => {
  it('add noise, whether or not a record evaluates later', async () => {
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device, exact: true });
    const run = { count: 2, seed, init };
    const alone = await model.run(stepProgram([noisy, noisy]), run);
    const expected = withNoise(withNoise(init, 0), 1);
    expect(maxDifference(alone.images.data, expected)).toBeLessThan(1e-5);
    const { images } = await model.run(stepProgram([noisy, copied, evaluated]), run);
    const state = withNoise(init, 0);
    const { out } = await model.unet.forward(state, 700);
    expect(
      maxDifference(
        images.data,
        state.map((value, i) => 0.25 * value - out[i]!),
      ),
    ).toBeLessThan(1e-4);
  });

  it('do not keep other samples from evaluating', async () => {
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device, exact: true });
    const now = { ...evaluated, read: 'x', x: linear({ x: 0.25, out: -1 }) } as const;
    const programs = [stepProgram([copied, evaluated]), stepProgram([now])];
    const { images } = await model.run(programs, { seed, init });
    const { out } = await model.unet.forward(init, 700);
    expect(
      maxDifference(
        images.data,
        init.map((value, i) => 0.25 * value - out[i]!),
      ),
    ).toBeLessThan(1e-4);
  });

  it('ask no model of JavaScript', async () => {
    await using opened = Device.open({ device });
    const times: number[] = [];
    const result = await runProgram(stepProgram([copied, noisy, evaluated]), {
      device: opened,
      shape: [2, elements],
      seed,
      init,
      model: (x, t) => (times.push(t), x.map((value) => 3 * value)),
    });
    expect(times).toEqual([700]);
    expect(
      maxDifference(
        result,
        init.map((value) => -2.75 * value),
      ),
    ).toBeLessThan(1e-5);
  });
});
