// full-ddpm on networks: seeds, batches, ends before its end, and models that it refuses.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  createBatcher,
  DiffusionModel,
  NoiseSchedule,
  runProgram,
  samplers,
  type SampleOptions,
} from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

const variants = [{}, { lanczosSteps: 2, symmetric: true }, { diagonal: 2 }, { finalNoise: true }] as const;
const elements = 28 * 28;
let model: DiffusionModel;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
});
afterAll(() => model.close());

async function sampled(options: object): Promise<Float32Array> {
  const own: SampleOptions = { sampler: 'full-ddpm', steps: 4, seed: 8, count: 3, ...options };
  return (await model.sample(own)).images.data;
}

describe('full-ddpm on digits', () => {
  it.each(variants)('has the samples of a seed, whatever their batch: %j', async (options) => {
    const all = await sampled(options);
    expect(all.every(Number.isFinite)).toBe(true);
    expect(await sampled(options)).toEqual(all);
    expect(await sampled({ ...options, batch: 2 })).toEqual(all);
    expect(await sampled({ ...options, count: 1, first: 2 })).toEqual(all.slice(2 * elements));
    expect(await sampled({ ...options, seed: 9 })).not.toEqual(all);
  });

  it('depends on its options', async () => {
    const all = await Promise.all(
      [{ lanczosSteps: 1 }, { lanczosSteps: 4 }, { diagonal: 1 }, ...variants].map(sampled),
    );
    const different = new Set(all.map((data) => data.join()));
    expect(different.size).toBe(all.length);
  });

  it.each(variants)('ends when it is aborted: %j', async (options) => {
    const controller = new AbortController();
    const done: number[] = [];
    const run = sampled({
      ...options,
      signal: controller.signal,
      onProgress(steps: number) {
        done.push(steps);
        controller.abort('enough');
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: 'enough' });
    expect(done).toHaveLength(1);
  });

  it('runs beside a batch as well', async () => {
    await using batcher = await model.batcher();
    const { images } = await batcher.sample({ sampler: 'full-ddpm', steps: 4, seed: 8 });
    expect(images.data).toEqual(await sampled({ count: 1 }));
  });
});

describe('full-ddpm', () => {
  const unsupported = { code: 'ERR_DPM_UNSUPPORTED', message: expect.stringMatching(/derivative/) as string };

  it('is not for models in JavaScript', async () => {
    const schedule = NoiseSchedule.linear();
    const program = samplers['full-ddpm'](schedule, { steps: 3 });
    await expect(runProgram(program, { shape: [1, 4], model: (x) => x })).rejects.toMatchObject(unsupported);
    await using batcher = await createBatcher({ schedule, shape: [1, 2, 2], evaluate: (x) => x });
    await expect(batcher.sample({ sampler: 'full-ddpm', steps: 3 })).rejects.toMatchObject(unsupported);
  });

  it('takes class labels, and no guidance', async () => {
    const path = packagePath('test/fixtures/unet/diffusers-adm');
    await using labelled = await DiffusionModel.load(path, { device: 'cpu', exact: true });
    const options = { sampler: 'full-ddpm', steps: 3, seed: 1, count: 2 } as const;
    const of = async (own: object): Promise<Float32Array> =>
      (await labelled.sample({ ...options, ...own })).images.data;
    const [plain, other] = [await of({ classLabels: [3, 7] }), await of({ classLabels: [3, 2] })];
    const half = plain.length / 2;
    expect(plain.every(Number.isFinite)).toBe(true);
    expect(other.slice(0, half)).toEqual(plain.slice(0, half));
    expect(other.slice(half)).not.toEqual(plain.slice(half));
    expect(await of({ classLabels: [3, 7], symmetric: true })).not.toEqual(plain);
    await expect(of({ classLabels: 3, guidance: 2 })).rejects.toMatchObject(unsupported);
  });

  it('has no bound on the likelihood', () => {
    expect(samplers['full-ddpm'].facts.bound).toMatch(/determinants/);
  });
});
