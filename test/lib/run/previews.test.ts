// States that are shown while samples are made are those that a run keeps.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  DiffusionModel,
  runProgram,
  type HostContext,
  type ImageBatch,
  type PreviewPlace,
} from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
});
afterAll(() => model.close());

interface Shown extends PreviewPlace {
  images: ImageBatch;
}

function recorder(): { shown: Shown[]; onPreview: (images: ImageBatch, place: PreviewPlace) => void } {
  const shown: Shown[] = [];
  return { shown, onPreview: (images, place) => void shown.push({ images, ...place }) };
}

describe('previews', () => {
  it.each(['float32', 'uint8'] as const)(
    'are the states after every record, of the batch in flight: %s',
    async (format) => {
      const { shown, onPreview } = recorder();
      const run = { sampler: 'ancestral', steps: 4, count: 3, batch: 2, seed: 5, format } as const;
      const { snapshots } = await model.sample({ ...run, snapshotEvery: 2 });
      await model.sample({ ...run, onPreview, previewEvery: 2 });
      expect(shown.map(({ record, first, images }) => [record, first, images.count])).toEqual([
        [2, 0, 2],
        [4, 0, 2],
        [2, 2, 1],
        [4, 2, 1],
      ]);
      for (const { record, first, images } of shown) {
        const kept = snapshots.find((each) => each.record === record)!.images;
        expect(images.toUint8()).toEqual(kept.slice(first, first + images.count).toUint8());
        expect(images.range).toEqual(model.range);
      }
      const every = recorder();
      await model.sample({ ...run, onPreview: every.onPreview });
      expect(every.shown).toHaveLength(8);
    },
  );

  it('of samplers that decide while they run come after every evaluation', async () => {
    const { shown, onPreview } = recorder();
    await model.sample({ sampler: 'dpm-solver-adaptive', count: 2, batch: 1, onPreview, previewEvery: 3 });
    const [first, second] = [0, 1].map((sample) => shown.filter((each) => each.first === sample));
    expect(first!.length).toBeGreaterThan(2);
    expect(first!.map(({ record }) => record)).toEqual(first!.map((_, i) => 3 * (i + 1)));
    expect(second![0]!.record).toBe(3);
    expect(first!.at(-1)!.images.data).not.toEqual(first![0]!.images.data);
  });

  it('of a stream say which samples they are of', async () => {
    const { shown, onPreview } = recorder();
    for await (const _ of model.stream({ sampler: 'ddim', steps: 2, count: 3, batch: 1, previewEvery: 2, onPreview }));
    expect(shown.map(({ first }) => first)).toEqual([0, 1, 2]);
  });

  it('that throw end the run with their own error', async () => {
    const own = new Error('own');
    const onPreview = (): never => {
      throw own;
    };
    await expect(model.sample({ sampler: 'ddim', steps: 3, onPreview })).rejects.toBe(own);
    await expect(model.sample({ sampler: 'dpm-solver-adaptive', onPreview })).rejects.toBe(own);
    expect((await model.sample({ sampler: 'ddim', steps: 1 })).images.count).toBe(1);
  });

  it('a host program takes itself: it can read its tensors', async () => {
    const read: number[][] = [];
    const run = async (context: HostContext): Promise<void> => {
      await context.linearCombination('y', [[2, 'x']]);
      read.push([...(await context.read('x'))], [...(await context.read('y'))], [...(await context.read('new'))]);
    };
    const init = Float32Array.of(1, 2, 3, 4);
    const program = { kind: 'host', initialScale: 1, head: null, run } as const;
    await runProgram(program, { shape: [2, 2], model: (x) => x, init });
    expect(read).toEqual([
      [1, 2, 3, 4],
      [2, 4, 6, 8],
      [0, 0, 0, 0],
    ]);
  });

  it('are not asked for without somebody to see them', async () => {
    const run = model.sample({ sampler: 'ddim', steps: 3, previewEvery: 2 });
    await expect(run).rejects.toThrow(/previewEvery is for onPreview, which is missing/);
  });
});
