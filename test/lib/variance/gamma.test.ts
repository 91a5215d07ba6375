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
