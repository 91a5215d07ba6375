// Bits of runs of every kind on the emulated card: see test/lib/model/hashes.test.ts.
import '../support/emulated-cuda.js';

import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';

import { DiffusionModel } from '../../lib/model.js';
import { samplerNames } from '../../lib/samplers/index.js';
import { hashedRuns, hashOf, sixSteps } from '../support/hashed-runs.js';
import { sampleHashes } from '../support/sample-hashes.js';
import { packagePath } from '../support/temporary.js';

function skipElsewhere({ skip }: TestContext): void {
  if (process.arch !== 'x64') skip('skipped: the mathematical functions of another processor round otherwise');
}

describe('runs on the emulated card', () => {
  it.for(hashedRuns)('$name: the same bits as before', async ({ name, run }, context) => {
    skipElsewhere(context);
    expect(hashOf(await run('cuda'))).toBe(sampleHashes.runs.cuda[name]);
  });
});

describe('samplers on the emulated card', () => {
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cuda', dtype: 'f32' });
  });
  afterAll(() => model.close());

  it.for(samplerNames)('%s makes the same bits as before', async (sampler, context) => {
    skipElsewhere(context);
    expect(hashOf([(await sixSteps(model, sampler)).images.data])).toBe(sampleHashes.samplers.cuda[sampler]);
  });
});
