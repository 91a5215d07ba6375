import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { gammaLookup, parseGammaTable, readGammaTable, writeGammaTable } from '../../../lib/variance/gamma.js';
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

  it.each([
    [[], /JSON object/],
    [{ ...json, m: [0, 1] }, /m has 2 entries/],
    [{ ...json, m: [0, -1, 1] }, /entry 1/],
    [{ ...json, m: null }, /m is null/],
    [{ ...json, num_train_timesteps: 1.5 }, /num_train_timesteps/],
    [{ ...json, schedule: 3 }, /schedule/],
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
