// Samples that are given as they are done are those of a whole run.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel, type StreamedImage } from '../../../lib/index.js';
import { Random } from '../../support/random.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
const pixels = 28 * 28;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
});
afterAll(() => model.close());

function randomStates(seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: 5 * pixels }, () => random.between(-2, 2));
}

async function collected(stream: AsyncIterable<StreamedImage>): Promise<StreamedImage[]> {
  const all: StreamedImage[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

describe('a stream', () => {
  it.each(['ancestral', 'dpm-solver-adaptive'] as const)('gives what sample gives: %s', async (sampler) => {
    const options = sampler === 'ancestral' ? { sampler, steps: 3 } : { sampler };
    const run = { count: 5, seed: 3, batch: 2 };
    const { images } = await model.sample({ ...options, ...run });
    const all = await collected(model.stream({ ...options, ...run }));
    expect(all.map(({ sample }) => sample)).toEqual([0, 1, 2, 3, 4]);
    for (const { sample, image } of all) {
      expect(image.shape).toEqual([1, 1, 28, 28]);
      expect(image.data).toEqual(images.slice(sample).data);
    }
  });

  it.each(['ancestral', 'dpm-solver-adaptive'] as const)('begins with any sample of a seed: %s', async (sampler) => {
    const options = { ...(sampler === 'ancestral' ? { sampler, steps: 2 } : { sampler }), seed: 3 };
    const { images } = await model.sample({ ...options, count: 5 });
    const shown: number[] = [];
    const onPreview = (_: unknown, { first }: { first: number }): void => void shown.push(first);
    const all = await collected(model.stream({ ...options, count: 3, first: 2, batch: 2, onPreview }));
    // Places in the stream, not in the seed.
    expect(all.map(({ sample }) => sample)).toEqual([0, 1, 2]);
    expect([...new Set(shown)]).toEqual([0, 2]);
    for (const { sample, image } of all) expect(image.data).toEqual(images.slice(2 + sample).data);
    expect(() => model.stream({ ...options, first: 2 ** 32 - 1, count: 2 })).toThrow(/first/);
  });

  it('takes initial states, noise and levels apart, which it has copied', async () => {
    const init = randomStates(1);
    const noise = [randomStates(2), randomStates(3)];
    const run = { count: 5, batch: 2, init, noise, format: 'uint8' } as const;
    const { images } = await model.sample({ sampler: 'ancestral', steps: 3, ...run });
    const stream = model.stream({ sampler: 'ancestral', steps: 3, ...run });
    init.fill(0);
    for (const slice of noise) slice.fill(0);
    const all = await collected(stream);
    for (const { sample, image } of all) expect(image.toUint8()).toEqual(images.slice(sample).toUint8());
  });

  it('gives each sample its own class and guidance', async () => {
    const folder = packagePath('test/fixtures/unet/diffusers-adm');
    await using classes = await DiffusionModel.load(folder, { device: 'cpu', threads: 1 });
    const guided = { classLabels: [3, 7, 0, 2], guidance: [2.5, 1, 1, 0], unconditionalLabel: 9, count: 4, seed: 4 };
    const { images } = await classes.sample({ sampler: 'ddim', steps: 2, ...guided });
    for (const batch of [1, 2, 3]) {
      const all = await collected(classes.stream({ sampler: 'ddim', steps: 2, ...guided, batch }));
      for (const { sample, image } of all) expect(image.data).toEqual(images.slice(sample).data);
    }
    const plain = collected(classes.stream({ sampler: 'ddim', steps: 2, ...guided, guidance: 1 }));
    await expect(plain).rejects.toThrow(/unconditionalLabel is for guidance other than 1/);
  });

  it('tells of the progress of all samples', async () => {
    const reports: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void reports.push([done, total]);
    await collected(model.stream({ sampler: 'ddim', steps: 2, count: 5, batch: 2, onProgress }));
    expect(reports.at(-1)).toEqual([10, 10]);
    expect(reports.map(([done]) => done)).toEqual(reports.map(([done]) => done).sort((a, b) => a - b));
  });

  it('of many samples takes the memory of two batches', async () => {
    let seen = 0;
    for await (const { sample } of model.stream({ sampler: 'ddim', steps: 1, count: 2 ** 32, batch: 3 })) {
      expect(sample).toBe(seen++);
      if (seen === 7) break;
    }
    expect(() => model.stream({ sampler: 'ddim', steps: 1, count: 2 ** 32 + 1 })).toThrow(/at most 2\^32/);
  });

  it('ends its work when the loop is left, or its signal aborts', async () => {
    const done: number[] = [];
    const onProgress = (each: number): void => void done.push(each);
    for await (const _ of model.stream({ sampler: 'ddim', steps: 500, count: 4, batch: 1, onProgress })) break;
    const last = done.at(-1)!;
    expect(last).toBeLessThan(1000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(done.at(-1)).toBe(last);
    const controller = new AbortController();
    const aborted = (async () => {
      for await (const _ of model.stream({ sampler: 'ddim', steps: 2, count: 1000, signal: controller.signal })) {
        controller.abort(new Error('enough'));
      }
    })();
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('refuses at the call what does not fit', () => {
    const call = (options: object) => () => model.stream({ sampler: 'ddim', steps: 2, count: 2, ...options });
    expect(call({ init: new Float32Array(3) })).toThrow(/init has 3 elements/);
    expect(call({ noise: new Float32Array(3) })).toThrow(/noise has to consist of slices/);
    expect(call({ classLabels: [1, 2, 3] })).toThrow(/classLabels has 3 entries for 2 samples/);
    expect(call({ guidance: [1] })).toThrow(/guidance has 1 entries for 2 samples/);
    expect(call({ snapshotEvery: 1 })).toThrow(/a stream takes onPreview/);
    expect(call({ unheardOf: 1 })).toThrow(/no option 'unheardOf'/);
    expect(call({ steps: -1 })).toThrow(/steps is -1/);
    expect(call({ batch: 0 })).toThrow(/batch is 0/);
  });
});
