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
