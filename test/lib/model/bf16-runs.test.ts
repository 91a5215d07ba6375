// Errors by bfloat16: of a prediction, and of whole runs, against float32.
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { DiffusionModel, type SampleOptions } from '../../../lib/model.js';

/** Null where the processor has no bfloat16 instructions. */
async function inBf16(): Promise<DiffusionModel | null> {
  try {
    return await DiffusionModel.load('mnist', { device: 'cpu', dtype: 'bf16' });
  } catch (error) {
    if (error instanceof DpmError && error.code === 'ERR_DPM_UNSUPPORTED') return null;
    throw error;
  }
}

const network = await inBf16();
const exact = await DiffusionModel.load('mnist', { device: 'cpu', exact: true });

function rms(found: Float32Array, wanted: Float32Array): number {
  return Math.sqrt(found.reduce((sum, value, i) => sum + (value - wanted[i]!) ** 2, 0) / found.length);
}

describe.skipIf(network === null)('bfloat16 (skipped where the processor has none)', () => {
  it('rounds nothing of the state on its way through the network', async () => {
    const { snapshots } = await exact.sample({ sampler: 'ddim', steps: 10, seed: 1, count: 8, snapshotEvery: 1 });
    const noisy = snapshots[0]!.images.data;
    const [found, wanted] = [await network!.unet.forward(noisy, 899), await exact.unet.forward(noisy, 899)];
    // 2.4e-3 with the image and the result rounded, 8e-4 with the narrow convolutions in between in bfloat16.
    expect(rms(found.out, wanted.out)).toBeLessThan(6e-4);
    expect(rms(found.out, wanted.out)).toBeGreaterThan(0);
  });

  // Where a sample is about to become one digit or another the last bit decides: what most samples are off by is the geometric mean.
  it.each<[SampleOptions, number]>([
    [{ sampler: 'ddim', steps: 25 }, 2.4e-3],
    [{ sampler: 'dpm-solver++-2m', steps: 25 }, 3.6e-3],
    [{ sampler: 'ddpm', steps: 25 }, 6e-3],
    [{ sampler: 'unipc', steps: 15 }, 3.2e-3],
    [{ sampler: 'heun', steps: 25 }, 3.6e-3],
  ])('gives nearly the pictures of float32: %o', async (options, bound) => {
    const run = { ...options, seed: 1, count: 8 } as SampleOptions;
    const [found, wanted] = [(await network!.sample(run)).images, (await exact.sample(run)).images];
    const each = Array.from({ length: 8 }, (_, n) => rms(found.slice(n, n + 1).data, wanted.slice(n, n + 1).data));
    expect(Math.exp(each.reduce((sum, value) => sum + Math.log(value), 0) / each.length)).toBeLessThan(bound);
  });
});
