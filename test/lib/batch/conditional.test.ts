// Batches of a network with classes and a learned variance, on every device.
import '../../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import type { DpmError } from '../../../lib/index.js';
import { DiffusionModel, type Batcher } from '../../../lib/index.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

const folder = packagePath('test/fixtures/unet/diffusers-adm');

async function with1Row(model: DiffusionModel): Promise<Batcher> {
  return model.batcher({ rows: 1 });
}

describe.each(['cpu', 'cuda:0'])('guided samples on %s', (device) => {
  it('are those of a run', async () => {
    await using model = await DiffusionModel.load(folder, { device, exact: true, dtype: 'f32' });
    await using batcher = await model.batcher({ rows: device === 'cpu' ? 4 : 2, slots: 6 });
    const all = [
      { sampler: 'ddim', steps: 4, seed: 1, count: 3, classLabels: [3, 7, 0], guidance: [2.5, 1, 0] },
      { sampler: 'ddpm', steps: 5, seed: 2, count: 2, classLabels: 4, guidance: 2, unconditionalLabel: 1 },
      { sampler: 'ddpm', variance: 'learned', steps: 3, seed: 3, classLabels: 5 },
      { sampler: 'heun', steps: 3, seed: 4, classLabels: 5, guidance: 3 },
    ] as const;
    // The emulated card takes its time.
    const requests = device === 'cpu' ? all : all.slice(2);
    const together = await Promise.all(requests.map((request) => batcher.sample(request)));
    for (const [i, request] of requests.entries()) {
      const alone = (await model.sample(request)).images.data;
      // A card's sums may depend on the batch, a cpu's do not.
      if (device === 'cuda:0') expect(maxDifference(together[i]!.images.data, alone)).toBeLessThan(1e-4);
      else expect(together[i]!.images.data).toEqual(alone);
    }
    expect(batcher.stats().rows).toBeGreaterThan(batcher.stats().steps);
  });

  it('are computed at one size where their bits are not to depend on others', async () => {
    await using model = await DiffusionModel.load(folder, { device, exact: true, dtype: 'f32' });
    await using batcher = await model.batcher({ rows: 2, sizes: 'one' });
    const request = { sampler: 'ddim', steps: 2, seed: 1, classLabels: 3 } as const;
    const alone = await batcher.sample(request);
    const { steps, rows, paddedRows } = batcher.stats();
    expect([steps, rows, paddedRows]).toEqual([2, 2, device === 'cpu' ? 0 : 2]);
    const [first, second] = await Promise.all([batcher.sample(request), batcher.sample({ ...request, seed: 2 })]);
    expect(first.images.data).toEqual(alone.images.data);
    expect(second.images.data).not.toEqual(alone.images.data);
  });
});

describe('a batcher of such a network', () => {
  it('has rows for a guided sample, and says where it has not', async () => {
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    await using smallest = await model.batcher({ stepTarget: 1e-6 });
    expect(smallest.capacity.rows).toBe(2);
    await using one = await with1Row(model);
    const guided = { sampler: 'ddim', steps: 2, classLabels: 1, guidance: 2 } as const;
    await expect(one.sample(guided)).rejects.toThrow(/a guided sample takes two rows, a step of this batch has one/);
    await one.sample({ ...guided, guidance: 0 });
  });

  it('evaluates with labels, beside the batch where there are more channels', async () => {
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    await using batcher = await model.batcher({ rows: 2 });
    const x = new Float32Array(model.sampleShape.reduce((a, b) => a * b, 1)).fill(0.25);
    const { out } = await model.unet.forward(x, 9, { classLabels: [2] });
    expect(await batcher.forward(x, 9, { classLabels: [2] })).toEqual(out);
    await expect(batcher.forward(x, 9)).rejects.toThrow(/10 classes|classes: give classLabels/);
    const aborted = batcher.forward(x, 9, { classLabels: [2], signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    let done = false;
    const last = batcher.forward(x, 9, { classLabels: [2] }).then(() => {
      done = true;
    });
    await batcher.drain();
    expect(done).toBe(true);
    await last;
    const closed = (await batcher.forward(x, 9, { classLabels: [2] }).catch((error: unknown) => error)) as DpmError;
    expect(closed.code).toBe('ERR_DPM_CLOSED');
  });
});
