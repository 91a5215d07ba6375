// Requests that join a running batch get what they would get alone, or an error that says why not.
import { AsyncLocalStorage } from 'node:async_hooks';

import { describe, expect, it } from 'vitest';

import {
  DiffusionModel,
  linear,
  samplerNames,
  samplers,
  stepProgram,
  stepRecord,
  type ImageBatch,
  type PreviewPlace,
  type SampleOptions,
} from '../../../lib/index.js';
import { maxDifference } from '../../support/golden.js';
import { failure } from '../../support/failure.js';
import { batcher, expectSame, model, noise, path, serveDigits } from './digits.js';

serveDigits();

describe('a request', () => {
  it('gives what model.sample gives, whatever else is in the batch', async () => {
    const adaptive = ['dpm-solver-adaptive', 'predictor-corrector'];
    const requests: SampleOptions[] = samplerNames
      .filter((name) => !adaptive.includes(name) && name !== 'scheduler')
      .map(
        (sampler, i) => ({ sampler, steps: 5 + (i % 7), count: 1 + (i % 3), seed: i, first: i % 2 }) as SampleOptions,
      );
    const together = await Promise.all(requests.map((request) => batcher.sample(request as never)));
    for (const [i, request] of requests.entries()) expectSame(together[i]!, await model.sample(request));
  });

  it('of an adaptive sampler runs beside the batch', async () => {
    const request = { sampler: 'dpm-solver-adaptive', seed: 3, count: 2 } as const;
    const [one, two] = await Promise.all([batcher.sample(request), batcher.sample({ ...request, seed: 4 })]);
    expectSame(one, await model.sample(request));
    expectSame(two, await model.sample({ ...request, seed: 4 }));
    await using none = await model.batcher({ rows: 1, hostPrograms: 0 });
    const refused = await failure(none.sample(request));
    expect([refused.code, refused.message]).toEqual([
      'ERR_DPM_UNSUPPORTED',
      'this batcher runs no adaptive samplers: hostPrograms is 0',
    ]);
    const previewed = batcher.sample({ ...request, previewOf: 'prediction' });
    expect((await failure(previewed)).code).toBe('ERR_DPM_ARGUMENT');
  });

  it('without a sampler follows the scheduler file', async () => {
    expectSame(await batcher.sample({ steps: 4, seed: 2 }), await model.sample({ steps: 4, seed: 2 }));
  });

  it.each<[string, Omit<SampleOptions<'ddpm'>, 'sampler'>]>([
    ['initial states', { init: noise(2, 1)[0]!, count: 2 }],
    ['noise', { noise: noise(2, 7), count: 2 }],
    ['levels', { format: 'uint8', count: 2 }],
    ['snapshots', { snapshotEvery: 3, count: 2 }],
    ['snapshots of levels', { snapshotEvery: 2, count: 1, format: 'uint8' }],
  ])('takes %s', async (_, options) => {
    const request = { sampler: 'ddpm', steps: 8, seed: 11, ...options } as const;
    const others = Array.from({ length: 3 }, (_, seed) => batcher.sample({ sampler: 'ddim', steps: 6, seed }));
    expectSame(await batcher.sample(request), await model.sample(request));
    await Promise.all(others);
  });

  it('runs programs of its caller, one per sample', async () => {
    const programs = [samplers.ddim(model.schedule, { steps: 4 }), samplers.unipc(model.schedule, { steps: 7 })];
    expectSame(await batcher.run(programs, { seed: 5 }), await model.run(programs, { seed: 5 }));
    // Changes by a caller after a run make another program.
    const records = [stepRecord({ time: 5, x: linear({ out: 0.5 }) })];
    const program = stepProgram(records);
    const before = await batcher.run(program, { seed: 5 });
    records[0] = stepRecord({ time: 5, x: linear({ out: 0.25 }) });
    const after = await batcher.run(program, { seed: 5 });
    expect(after.images.data).toEqual(before.images.data.map((value) => value / 2));
  });

  it('shows its states and data predictions', async () => {
    const shown = async (previewOf: 'state' | 'prediction') => {
      const previews: (PreviewPlace & { images: ImageBatch })[] = [];
      const { images } = await batcher.sample({
        sampler: 'dpm-solver-2',
        steps: 6,
        seed: 9,
        count: 2,
        previewEvery: 2,
        previewOf,
        onPreview: (images, place) => previews.push({ images, ...place }),
      });
      expect(previews.map(({ record, first }) => [record, first]).sort()).toEqual([
        [2, 0],
        [2, 1],
        [4, 0],
        [4, 1],
        [6, 0],
        [6, 1],
      ]);
      return { images, previews };
    };
    const states = await shown('state');
    const last = states.previews.filter(({ record }) => record === 6);
    expect(last[0]!.images.shape).toEqual([1, 1, 28, 28]);
    expect(last[0]!.images.data).toEqual(states.images.slice(0, 1).data);
    // A solver of the noise prediction keeps no data prediction, but the one of the same evaluation is shown.
    const first = async (form: 'data' | 'noise'): Promise<Float32Array> => {
      const images: ImageBatch[] = [];
      const onPreview = (image: ImageBatch): void => void images.push(image);
      const options = { sampler: 'unipc', form, clip: 'none', steps: 6, seed: 9 } as const;
      await batcher.sample({ ...options, previewOf: 'prediction', onPreview });
      return images[0]!.data;
    };
    const [data, noise] = [await first('data'), await first('noise')];
    expect(maxDifference(data, states.previews[0]!.images.data)).toBeGreaterThan(0.5);
    expect(maxDifference(noise, data)).toBeLessThan(1e-4 * Math.max(...data.map(Math.abs)));
  });

  it('shows the state where a record predicts nothing', async () => {
    const first = stepRecord({ time: 50, x: linear({ x: 0.5, out: 0.1 }) });
    const second = stepRecord({ time: 50, evaluate: false, x: linear({ x: 2 }) });
    const shown: Float32Array[] = [];
    const { images } = await batcher.run(stepProgram([first, second]), {
      seed: 3,
      previewEvery: 2,
      previewOf: 'prediction',
      onPreview: (image) => void shown.push(image.data),
    });
    const before = (await batcher.run(stepProgram([first]), { seed: 3 })).images.data;
    expect(shown).toEqual([before]);
    expect(images.data).toEqual(before.map((value) => 2 * value));
  });

  it('calls its functions in the asynchronous context of the call', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Set<string | undefined>();
    const note = (): void => {
      seen.add(storage.getStore());
    };
    await storage.run('mine', () => batcher.sample({ sampler: 'ddim', steps: 4, onProgress: note, onPreview: note }));
    expect([...seen]).toEqual(['mine']);
  });

  it('that throws in its function ends alone', async () => {
    const other = batcher.sample({ sampler: 'ddim', steps: 30, seed: 1 });
    const thrown = new RangeError('mine');
    const failing = batcher.sample({
      sampler: 'ddim',
      steps: 30,
      onProgress() {
        throw thrown;
      },
    });
    await expect(failing).rejects.toBe(thrown);
    expectSame(await other, await model.sample({ sampler: 'ddim', steps: 30, seed: 1 }));
  });
});

describe('forward', () => {
  it('joins the batch: eight callers share one evaluation', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    await using batch = await own.batcher({ rows: 8 });
    const states = Array.from({ length: 8 }, (_, i) => noise(1, i + 1)[i]!);
    // While the engine is busy, all of them arrive.
    const busy = own.unet.forward(noise(64, 1)[0]!, 7);
    const together = await Promise.all(states.map((x, i) => batch.forward(x, 100 * i)));
    await busy;
    expect(batch.stats()).toMatchObject({ steps: 1, rows: 8, finished: 8 });
    for (const [i, x] of states.entries()) {
      expect(together[i]).toEqual((await own.unet.forward(x, 100 * i)).out);
    }
  });

  it('takes several samples and times', async () => {
    const x = noise(3, 1)[0]!;
    expect(await batcher.forward(x, [1, 20, 300])).toEqual((await model.unet.forward(x, [1, 20, 300])).out);
    expect(await batcher.forward(x, 50)).toEqual((await model.unet.forward(x, 50)).out);
    await expect(batcher.forward(x, [1, 2])).rejects.toThrow(/t has 2 times for 3 samples/);
    await expect(batcher.forward(x.subarray(1), 1)).rejects.toThrow(/x has 2351 elements, a sample has 784/);
    await expect(batcher.forward([1] as never, 1)).rejects.toThrow(/x is \[1\], it has to be a Float32Array/);
    await expect(batcher.forward(x, Number.NaN)).rejects.toThrow(/t is NaN/);
    await expect(batcher.forward(x, 1, { classLabels: [0, 0, 0] })).rejects.toThrow(/not class-conditional/);
    await expect(batcher.forward(x, 1, { label: 1 } as never)).rejects.toThrow(/no option 'label'/);
  });
});
