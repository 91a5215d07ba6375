// Bits of every sampler on the bundled network, and of runs of every kind, by one instruction set that nearly every x86-64
// processor has. A change of structure keeps them; test/fixtures/samples/make.ts writes them anew where a change of the
// arithmetic is meant.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import { samplerNames } from '../../../lib/samplers/index.js';
import { hashedRuns, hashOf, sixSteps } from '../../support/hashed-runs.js';
import { sampleHashes } from '../../support/sample-hashes.js';
import { packagePath } from '../../support/temporary.js';

const { isa, samplers, runs } = sampleHashes;

// Native code reads it when it opens a device.
process.env.DPM_CPU_ISA = isa;

/** The model by that instruction set, null where this processor does not have it. */
async function load(): Promise<DiffusionModel | null> {
  try {
    return await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
  } catch (error) {
    if (String(error).includes('DPM_CPU_ISA')) return null;
    throw error;
  }
}

let model: DiffusionModel | null = null;
beforeAll(async () => {
  model = await load();
});
afterAll(async () => {
  await model?.close();
  delete process.env.DPM_CPU_ISA;
});

describe('samples of the bundled network', () => {
  it('are stored of every sampler', () => {
    for (const hashes of Object.values(samplers)) expect(Object.keys(hashes)).toEqual([...samplerNames]);
  });

  it.for(samplerNames)('%s makes the same bits as before', async (sampler, context) => {
    if (model === null) {
      context.skip(`skipped: this processor has no ${isa}`);
      return;
    }
    expect(hashOf([(await sixSteps(model, sampler)).images.data])).toBe(samplers.cpu[sampler]);
  });
});

describe('runs of small networks and functions', () => {
  it('are stored of every kind', () => {
    for (const hashes of Object.values(runs)) expect(Object.keys(hashes)).toEqual(hashedRuns.map(({ name }) => name));
  });

  it.for(hashedRuns)('$name: the same bits as before', async ({ name, run }, context) => {
    if (model === null) {
      context.skip(`skipped: this processor has no ${isa}`);
      return;
    }
    expect(hashOf(await run('cpu'))).toBe(runs.cpu[name]);
  });
});
