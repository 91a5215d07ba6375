// Second moments estimated on all noise schedules and predictions that have them.
import { afterAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { estimateGamma } from '../../../lib/estimation/gamma-estimate.js';
import type { Prediction } from '../../../lib/schedule/defaults.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { parametrisationOf } from '../../../lib/schedule/prediction.js';
import { maxDifference } from '../../support/golden.js';

const device = Device.open({ device: 'cpu' });
afterAll(() => device.close());

const timesteps = [1, 10, 400, 1000];

/** m_n of the exact network of images that are all 0: its noise prediction is the noise that was added. */
async function momentsOf(schedule: NoiseSchedule, timeOf: (networkTime: number) => number): Promise<number[]> {
  const model = (x: Float32Array, networkTime: number): Float32Array => {
    const time = timeOf(networkTime);
    const { data, inputScale } = parametrisationOf(
      schedule,
      {},
      Math.sqrt(schedule.alphaBar(time)),
      Math.sqrt(schedule.betaBar(time)),
    );
    return x.map((value) => (-data.input * value) / (inputScale * data.output));
  };
  const estimated = { schedule, device, sampleShape: [1, 4, 4] as const, model };
  const table = await estimateGamma(estimated, new Float32Array(16 * 8), { samples: 8, timesteps, seed: 3 });
  return timesteps.map((n) => table.m[n]!);
}

describe('estimating second moments', () => {
  it.each<Prediction>(['x0', 'v', 'score', 'edm'])('of a network that predicts %s', async (prediction) => {
    const noise = await momentsOf(NoiseSchedule.linear(), (time) => time + 1);
    const other = NoiseSchedule.linear({ defaults: { prediction, sigmaData: 0.7 } });
    expect(maxDifference(await momentsOf(other, (time) => time + 1), noise)).toBeLessThan(1e-4);
    noise.forEach((m) => {
      expect(Math.abs(m - 1)).toBeLessThan(0.5);
    });
  });

  it('on continuous time, where n stands for n / N', async () => {
    const discrete = await momentsOf(NoiseSchedule.vpDiscrete(), (time) => Math.round((time / 999) * 1000));
    const continuous = await momentsOf(NoiseSchedule.vp(), (time) => time / 999);
    expect(maxDifference(continuous, discrete)).toBeLessThan(1e-3);
  });

  const growing = {
    schedule: NoiseSchedule.fromBetas(Array<number>(10).fill(0.1)),
    device,
    sampleShape: [1, 4, 4] as const,
    model: (x: Float32Array, networkTime: number): Float32Array => x.map(() => networkTime),
  };

  it('is linear between the times that were asked for, and constant outside', async () => {
    const table = await estimateGamma(growing, new Float32Array(16), { samples: 1, timesteps: [7, 3, 7] });
    const [low, high] = [table.m[3]!, table.m[7]!];
    expect(high).toBeGreaterThan(2 * low);
    const between = [1, 2, 3].map((n) => low + (n / 4) * (high - low));
    const expected = [0, low, low, low, ...between, high, high, high, high];
    expect(table.m).toHaveLength(expected.length);
    expected.forEach((m, n) => {
      expect(table.m[n]!, `entry ${n}`).toBeCloseTo(m, 10);
    });
  });

  it.each([[[4, 4]], [[1, 1, 4, 4]], [[1, 0, 4]], [[1, 4, 2.5]], [7]])(
    'refuses a model of samples %j',
    async (sampleShape) => {
      const wrong = { ...growing, sampleShape: sampleShape as unknown as typeof growing.sampleShape };
      await expect(estimateGamma(wrong, new Float32Array(16), { samples: 1 })).rejects.toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringMatching(/^sampleShape of the model is .*three positive integers$/) as string,
      });
    },
  );

  it.each([0, 1.5, 3, -1])('refuses %d of two images', async (samples) => {
    await expect(estimateGamma(growing, new Float32Array(32), { samples })).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: `samples is ${samples}, it has to be an integer from 1 to the 2 images`,
    });
  });

  it.each([0, 15, 24])('refuses images of %i elements', async (elements) => {
    await expect(estimateGamma(growing, new Float32Array(elements), { samples: 1 })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
  });

  it('refuses noise alone, and a number of images that is not given', async () => {
    await expect(momentsOf(NoiseSchedule.edm(), (time) => time)).rejects.toThrow(/not 'edm'/);
    const estimated = {
      schedule: NoiseSchedule.linear(),
      device,
      sampleShape: [1, 1, 1] as const,
      model: (x: Float32Array) => x,
    };
    await expect(estimateGamma(estimated, new Float32Array(2), {} as { samples: number })).rejects.toThrow(
      /samples is missing/,
    );
  });
});
