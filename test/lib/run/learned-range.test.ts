import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import { maxDifference } from '../../support/golden.js';
import { hostDdim } from '../../support/host-ddim.js';
import { packagePath } from '../../support/temporary.js';

describe('a class-conditional network with a learned range', () => {
  const count = 2;
  const classLabels = [3, 7];
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(packagePath('test/fixtures/unet/diffusers-adm'), { device: 'cpu', exact: true });
  });
  afterAll(() => model.close());

  /** The two halves of the channels of each sample. */
  const halves = (both: Float32Array): { out: Float32Array; head: Float32Array } => {
    const size = both.length / (2 * count);
    const half = (offset: number): Float32Array =>
      Float32Array.from(
        { length: count * size },
        (_, i) => both[(2 * Math.floor(i / size) + offset) * size + (i % size)]!,
      );
    return { out: half(0), head: half(1) };
  };

  it('is sampled with its learned variance', async () => {
    const program = samplers.ddpm(model.schedule, { steps: 3, variance: 'learned' });
    const native = await model.run(program, { count, seed: 4, classLabels });
    const scripted = await runProgram(program, {
      device: model.device,
      shape: [count, ...model.sampleShape],
      seed: 4,
      model: async (x, t) => halves((await model.unet.forward(x, t, { classLabels })).out),
    });
    expect(maxDifference(scripted, native.images.data)).toBeLessThan(1e-5);
  });

  it('runs host programs on its first channels', async () => {
    const options = { count, seed: 4, classLabels };
    const host = await model.run(hostDdim(model.schedule, 3), options);
    const step = await model.run(samplers.ddim(model.schedule, { steps: 3, clip: 'none' }), options);
    const scale = Math.max(1, ...step.images.data.map(Math.abs));
    expect(maxDifference(host.images.data, step.images.data) / scale).toBeLessThan(1e-4);
  });

  it('needs labels', async () => {
    await expect(model.sample({ sampler: 'ddim', steps: 2 })).rejects.toThrow(/10 classes: give classLabels/);
    const one = await model.sample({ sampler: 'ddim', steps: 2, classLabels: 3, seed: 4 });
    const two = await model.sample({ sampler: 'ddim', steps: 2, classLabels: 5, seed: 4 });
    expect(maxDifference(one.images.data, two.images.data)).toBeGreaterThan(1e-4);
  });
});
