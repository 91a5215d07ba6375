// The bundled digits by scheduler files: the images that diffusers makes of the same network and states.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import type { SamplerName } from '../../../lib/samplers/index.js';
import { schedulerRun } from '../../../lib/samplers/scheduler/scheduler.js';
import { maxDifference } from '../../support/golden.js';
import { schedulerFixtures } from '../../support/scheduler-cases.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const cpu = { device: 'cpu', exact: true } as const;

/** The bundled model with another scheduler file. */
function modelWith(config: string): string {
  const path = join(folder, 'model');
  cpSync(packagePath('models/mnist'), path, { recursive: true });
  writeFileSync(join(path, 'scheduler/scheduler_config.json'), config);
  return path;
}

async function imageOf(name: string): Promise<Float32Array> {
  return (await readFloats(await readSafetensorsHeader(`${schedulerFixtures}/images.safetensors`), name, ['F32'])).data;
}

describe('a scheduler file on a network', () => {
  it.each([
    ['dpm-solver-karras-12', 12, 'dpm-solver++-2m', 'karras', 12],
    ['euler-trailing-9', 9, 'euler', 'trailing', 9],
    ['plms-leading-10', 10, 'plms', 'leading', 11],
    ['unipc-3-8', 8, 'unipc', 'linspace', 8],
  ] as const)('gives the image of diffusers: %s', async (name, steps, sampler, trajectory, evaluations) => {
    const path = modelWith(readFileSync(`${schedulerFixtures}/images/${name}.json`, 'utf8'));
    await using model = await DiffusionModel.load(path, cpu);
    const init = await imageOf('x');
    const { images } = await model.sample({ steps, init });
    expect(maxDifference(images.data, await imageOf(name))).toBeLessThan(2e-3);

    const run = schedulerRun(model.schedule, steps);
    expect(run).toMatchObject({ sampler, trajectory, evaluations });
    const same = await model.run(model.program({ sampler: run.sampler as SamplerName, ...run.options }), { init });
    expect(same.images.data).toEqual(images.data);
  });

  it('is what sample does without a sampler, and refuses what is not its own', async () => {
    await using model = await DiffusionModel.load(packagePath('models/mnist'), cpu);
    const [own, named] = [
      await model.sample({ steps: 4, seed: 3 }),
      await model.sample({ sampler: 'scheduler', steps: 4, seed: 3 }),
    ];
    expect(own.images.data).toEqual(named.images.data);
    const free = await model.sample({ steps: 4, seed: 3, clip: 'none' });
    expect(free.images.data).not.toEqual(own.images.data);
    const wrong: object = { steps: 4, eta: 1 };
    await expect(model.sample(wrong)).rejects.toThrow(/sampler scheduler has no option 'eta'/);
    await expect(model.sample({ count: 1 })).rejects.toThrow(/steps is missing/);
  });

  it('needs a file', async () => {
    await using model = await DiffusionModel.load(packagePath('test/fixtures/unet/ho-ddpm'), cpu);
    await expect(model.sample({ steps: 4 })).rejects.toThrow(/runs the scheduler file of a model.*comes from none/);
  });
});
