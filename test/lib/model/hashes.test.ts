// Bits of every sampler on the bundled network, by one instruction set that nearly every x86-64 processor has. A change
// of structure keeps them; test/fixtures/samples/make.mjs writes them anew where a change of the arithmetic is meant.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import { samplerNames } from '../../../lib/samplers/index.js';
import { packagePath } from '../../support/temporary.js';

const file = packagePath('test/fixtures/samples/hashes.json');
const { isa, hashes } = JSON.parse(readFileSync(file, 'utf8')) as { isa: string; hashes: Record<string, string> };

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

describe('samples of the bundled network', () => {
  let model: DiffusionModel | null = null;
  beforeAll(async () => {
    model = await load();
  });
  afterAll(async () => {
    await model?.close();
    delete process.env.DPM_CPU_ISA;
  });

  it('are stored of every sampler', () => {
    expect(Object.keys(hashes)).toEqual([...samplerNames]);
  });

  it.for(samplerNames)('%s makes the same bits as before', async (sampler, context) => {
    if (model === null) {
      context.skip(`skipped: this processor has no ${isa}`);
      return;
    }
    const steps = sampler === 'dpm-solver-adaptive' ? {} : { steps: 6 };
    const { images } = await model.sample({ sampler, ...steps, count: 3, batch: 2, seed: 11 });
    const { buffer, byteOffset, byteLength } = images.data;
    const digest = createHash('sha256')
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest('hex');
    expect(digest.slice(0, 32)).toBe(hashes[sampler]);
  });
});
