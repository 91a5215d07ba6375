import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { samplers } from '../../../lib/samplers/index.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { transitions } from '../../../lib/schedule/trajectory.js';
import {
  gammaLookup,
  parseGammaTable,
  readGammaTable,
  writeGammaTable,
  type GammaTable,
} from '../../../lib/variance/gamma.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const json = { schedule: 'linear', num_train_timesteps: 2, images_per_step: 4, m: [0, 0.5, 0.9] };

describe('gamma tables', () => {
  it('come back as they were written', async () => {
    const path = join(folder, 'gamma.json');
    await writeGammaTable(path, parseGammaTable(json, 'memory'));
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(json);
    expect((await readGammaTable(path)).m).toEqual(Float64Array.of(0, 0.5, 0.9));
    expect(readdirSync(folder)).toEqual(['gamma.json']);
  });

  it('keep the second moment of data without an interval', async () => {
    const path = join(folder, 'latents.json');
    await writeGammaTable(path, parseGammaTable({ ...json, second_moment: 0.9 }, 'memory'));
    expect((await readGammaTable(path)).secondMoment).toBe(0.9);
    const table = parseGammaTable(json, 'memory');
    await expect(writeGammaTable(path, { ...table, secondMoment: NaN })).rejects.toThrow(/secondMoment/);
    expect((await readGammaTable(path)).secondMoment).toBe(0.9);
  });

  it.each([
    ['ddpm', 1],
    ['ddim', 0],
  ] as const)('limit the variance of %s by the second moment, and no noise by grey levels', (name, eta) => {
    const schedule = NoiseSchedule.linear();
    const m = new Float64Array(1001).fill(0.5);
    const table = { schedule: 'linear', numTrainTimesteps: 1000, imagesPerStep: 1, m };
    const variances = (secondMoment: number | undefined): number[] =>
      samplers[`analytic-${name}`](schedule, { steps: 4, gamma: { ...table, secondMoment } }).records.map(
        ({ variance }) => (variance.kind === 'scalar' ? variance.deviation ** 2 : 0),
      );
    // Jumps from 1000, 667, 334 and 1 in turn: from the first the data's variance is the limit.
    const jumps = transitions(schedule, { steps: 4 }).map((each) => jump(schedule, each, eta));
    const expected = (limit: number): number[] =>
      jumps.map(({ s, alphaT, sigmaT, baseVariance, sensitivity }) =>
        s === 0 ? 0 : baseVariance + sensitivity ** 2 * Math.min((sigmaT / alphaT) ** 2 * 0.5, limit),
      );
    for (const secondMoment of [0.3, 4]) {
      variances(secondMoment).forEach((variance, i) => {
        expect(variance / (expected(secondMoment)[i]! || 1)).toBeCloseTo(i === 3 ? 0 : 1, 10);
      });
    }
    expect(variances(0.3)[0]).toBeLessThan(variances(4)[0]!);
    // Images lie in [-1, 1], and their last noise is limited.
    expect(variances(undefined)[0]).toBeCloseTo(expected(1)[0]!, 10);
    expect(variances(undefined)[2]).toBeLessThan(0.99 * expected(1)[2]!);
  });

  it.each([0, -1, NaN, '1'])('refuse a second moment of %s', (secondMoment) => {
    const gamma = {
      schedule: 'linear',
      numTrainTimesteps: 2,
      imagesPerStep: 1,
      m: Float64Array.of(0, 1, 1),
      secondMoment,
    };
    const lookup = (): unknown => gammaLookup('own', gamma as GammaTable, NoiseSchedule.fromBetas([0.1, 0.2]));
    expect(lookup).toThrow(/secondMoment of gamma/);
  });

  it.each([
    [[], /JSON object/],
    [{ ...json, m: [0, 1] }, /m has 2 entries/],
    [{ ...json, m: [0, -1, 1] }, /entry 1/],
    [{ ...json, m: null }, /m is null/],
    [{ ...json, num_train_timesteps: 1.5 }, /num_train_timesteps/],
    [{ ...json, schedule: 3 }, /schedule/],
    [{ ...json, second_moment: 0 }, /second_moment is 0/],
    [{ ...json, second_moment: '1' }, /second_moment/],
  ])('refuses %j', (value, message) => {
    expect(() => parseGammaTable(value, 'gamma.json')).toThrow(message);
    expect(() => parseGammaTable(value, 'gamma.json')).toThrow(expect.objectContaining({ code: 'ERR_DPM_CONFIG' }));
  });

  it('are for schedules that preserve the variance', () => {
    const exploding = NoiseSchedule.edm();
    const lookup = (): unknown => gammaLookup('own', new Float64Array(exploding.steps + 1), exploding);
    expect(lookup).toThrow(/own needs a variance preserving noise schedule/);
    expect(lookup).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });
});

describe('a moment looked up by its time', () => {
  const m = Float64Array.of(0, 0.2, 0.5, 0.7, 0.9);

  it('is its entry on a discrete schedule', () => {
    const lookup = gammaLookup('analytic-ddpm', m, NoiseSchedule.cosine({ steps: 4 }));
    expect([1, 2, 3, 4].map(lookup)).toEqual([0.2, 0.5, 0.7, 0.9]);
  });

  describe('of a continuous schedule', () => {
    const schedule = NoiseSchedule.vp({ steps: 4 });
    const lookup = gammaLookup('analytic-ddpm', m, schedule);
    const gamma = (n: number): number => m[n]! / schedule.betaBar(n / 4);

    it('is its entry where there is one, the last included', () => {
      [0.25, 0.5, 0.75, 1].forEach((time, i) => {
        expect(lookup(time)).toBeCloseTo(m[i + 1]!, 12);
      });
    });

    it('has a Gamma that is linear between, up to the noisiest time', () => {
      for (const n of [1, 2, 3]) {
        const time = (n + 0.25) / 4;
        expect(lookup(time)).toBeCloseTo(schedule.betaBar(time) * (0.75 * gamma(n) + 0.25 * gamma(n + 1)), 12);
      }
    });

    it('has the first Gamma at every cleaner time', () => {
      expect(lookup(0.1)).toBeCloseTo(schedule.betaBar(0.1) * gamma(1), 12);
    });
  });
});
