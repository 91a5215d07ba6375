// Guides of classifiers in the native loop: what they give in JavaScript, and what only they can do.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Classifier } from '../../../lib/guidance/classifier.js';
import type { ImageBatch } from '../../../lib/images/image-batch.js';
import { DiffusionModel } from '../../../lib/model.js';
import { withNativeSource, type Guide } from '../../../lib/guidance/guide.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
let classifier: Classifier;

beforeAll(async () => {
  model = await DiffusionModel.load('mnist', { device: 'cpu' });
  classifier = await Classifier.load('mnist-classifier', { device: model.device });
});
afterAll(async () => {
  await classifier.close();
  await model.close();
});

/** The same, as a function of the caller's. */
const inJavaScript =
  (guide: Guide): Guide =>
  (x, t, first) =>
    guide(x, t, first);

const labels = [3, 1, 4, 1, 5];
const count = labels.length;
const elements = 28 * 28;

describe('a guide in the native loop', () => {
  it.each(['ddim', 'ddpm', 'analytic-ddpm', 'dpm-solver++-2m', 'unipc', 'heun', 'pndm'] as const)(
    'is that of JavaScript, for %s',
    async (sampler) => {
      const guide = classifier.guide({ labels, scale: 2 });
      const options = { sampler, steps: 6, count, seed: 3 } as const;
      const native = await model.sample({ ...options, guides: [guide] });
      const script = await model.sample({ ...options, guides: [inJavaScript(guide)] });
      expect(maxDifference(native.images.data, script.images.data)).toBeLessThan(2e-4);
      expect(maxDifference(native.images.data, (await model.sample(options)).images.data)).toBeGreaterThan(1e-2);
      const parts = await model.sample({ ...options, batch: 2, guides: [guide] });
      expect(maxDifference(parts.images.data, native.images.data)).toBeLessThan(2e-4);
    },
  );

  it('adds up with others, with both forms, and with functions beside it', async () => {
    const [one, two] = [classifier.guide({ labels, scale: 2 }), classifier.guide({ labels: 7, scale: 0.5 })];
    for (const guideForm of ['score', 'mean'] as const) {
      const options = { sampler: 'ddpm', steps: 6, count, seed: 3, guideForm } as const;
      const native = await model.sample({ ...options, guides: [one, two] });
      const script = await model.sample({ ...options, guides: [inJavaScript(one), inJavaScript(two)] });
      const mixed = await model.sample({ ...options, guides: [one, inJavaScript(two)] });
      expect(maxDifference(native.images.data, script.images.data)).toBeLessThan(2e-4);
      expect(maxDifference(mixed.images.data, script.images.data)).toBeLessThan(2e-4);
    }
  });

  it('goes with given noise, initial states, grey levels, streams and constraints', async () => {
    const guide = classifier.guide({ labels, scale: 2 });
    const numbers = (many: number, seed: number): Float32Array =>
      Float32Array.from({ length: many }, (_, i) => Math.sin(seed + 1.7 * i));
    const noise = numbers(4 * count * elements, 1);
    const init = numbers(count * elements, 2);
    const options = { sampler: 'ddim', eta: 1, steps: 4, count, noise, init, batch: 3 } as const;
    const native = await model.sample({ ...options, guides: [guide] });
    const script = await model.sample({ ...options, guides: [inJavaScript(guide)] });
    expect(maxDifference(native.images.data, script.images.data)).toBeLessThan(2e-4);
    const levels = await model.sample({ ...options, format: 'uint8', guides: [guide] });
    expect(levels.images.toUint8()).toEqual(native.images.toUint8());
    for await (const { sample, image } of model.stream({ ...options, batch: 2, guides: [guide] })) {
      const expected = native.images.data.slice(sample * elements, (sample + 1) * elements);
      expect(maxDifference(image.data, expected)).toBeLessThan(2e-4);
    }
    const constrained = await model.sample({ ...options, guides: [guide], constrain: (x) => x });
    expect(maxDifference(constrained.images.data, native.images.data)).toBeLessThan(2e-4);
  });

  it('has previews, snapshots and progress', async () => {
    const previews: [number, number, ImageBatch][] = [];
    const progress: number[][] = [];
    const { images, snapshots } = await model.sample({
      sampler: 'ddim',
      steps: 4,
      count,
      batch: 3,
      seed: 1,
      snapshotEvery: 2,
      onPreview: (states, { record, first }) => previews.push([record, first, states]),
      onProgress: (done, total) => progress.push([done, total]),
      guides: [classifier.guide({ labels, scale: 2 })],
    });
    expect(snapshots.map(({ record }) => record)).toEqual([2, 4]);
    expect(snapshots[1]!.images.data).toEqual(images.data);
    expect(previews.map(([record, first]) => [record, first])).toEqual([
      ...[1, 2, 3, 4].map((record) => [record, 0]),
      ...[1, 2, 3, 4].map((record) => [record, 3]),
    ]);
    expect(progress.at(-1)).toEqual([20, 20]);
  });

  it('goes with classifier-free guidance', async () => {
    await using conditional = await DiffusionModel.load(packagePath('test/fixtures/unet/openai-adm-class'), {
      device: 'cpu',
    });
    await using judge = await Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), {
      device: conditional.device,
    });
    const guide = judge.guide({ labels: [4, 2], scale: 3 });
    const options = { sampler: 'ddim', steps: 3, classLabels: [1, 2], guidance: [2.5, 1], count: 2, seed: 3 } as const;
    const native = await conditional.sample({ ...options, guides: [guide] });
    const script = await conditional.sample({ ...options, guides: [inJavaScript(guide)] });
    const size = Math.max(...script.images.data.map(Math.abs));
    expect(maxDifference(native.images.data, script.images.data)).toBeLessThan(1e-3 * size);
    const unguided = await conditional.sample(options);
    expect(maxDifference(native.images.data, unguided.images.data)).toBeGreaterThan(1e-2 * size);
  });

  it('may be on another device than the network, and goes by way of JavaScript then', async () => {
    await using elsewhere = await Classifier.load('mnist-classifier', { device: 'cpu', threads: 1 });
    const options = { sampler: 'ddim', steps: 3, count: 2, seed: 1 } as const;
    const far = await model.sample({ ...options, guides: [elsewhere.guide({ labels: 3 })] });
    const near = await model.sample({ ...options, guides: [classifier.guide({ labels: 3 })] });
    expect(maxDifference(far.images.data, near.images.data)).toBeLessThan(2e-4);
  });

  it('refuses what does not fit', async () => {
    const options = { sampler: 'ddim', steps: 3, count: 2 } as const;
    const of = (guide: Guide, more: object = {}) => model.sample({ ...options, guides: [guide], ...more });
    await expect(of(classifier.guide({ labels: [1] }))).rejects.toThrow('labels of a guide are 1, there are 2 samples');
    await expect(of(classifier.guide({ labels: [1, 2.5] }))).rejects.toThrow('2.5');
    await expect(of(classifier.guide({ labels: 10 }))).rejects.toThrow('10');
    await expect(of(classifier.guide({ labels: 1 }), { guideForm: 'median' })).rejects.toThrow('guideForm');
    const wild = of(classifier.guide({ labels: 1, scale: 3e38 }), { steps: 20 });
    await expect(wild).rejects.toThrow(/the gradient of guide 0 is not finite at time/);
    await using small = await Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), {
      device: model.device,
    });
    const misfit = of(small.guide({ labels: 1 }));
    await expect(misfit).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    await expect(misfit).rejects.toThrow('a guide takes images of [3, 16, 16], the model has [1, 28, 28]');
  });

  it('is closed with its classifier', async () => {
    const own = await Classifier.load('mnist-classifier', { device: model.device });
    const guide = own.guide({ labels: 3 });
    await own.close();
    const code = 'ERR_DPM_CLOSED';
    await expect(model.sample({ sampler: 'ddim', steps: 2, guides: [guide] })).rejects.toMatchObject({ code });
    await expect(own.gradient(new Float32Array(elements), 1, 3)).rejects.toMatchObject({ code });
    await expect(own.features()).rejects.toMatchObject({ code });
    await expect(own.logits(new Float32Array(elements), 1)).rejects.toMatchObject({ code });
  });

  it('gives all of its memory back on a device that is not its own', async () => {
    const memory = (): number => model.device.memory().host + model.device.memory().device;
    const before = memory();
    const own = await Classifier.load('mnist-classifier', { device: model.device });
    const loaded = memory();
    await own.features();
    const withFeatures = memory();
    await own.gradient(new Float32Array(elements), 1, 3);
    expect(loaded).toBeGreaterThan(before);
    expect(withFeatures).toBeGreaterThan(loaded);
    expect(memory()).toBeGreaterThan(withFeatures);
    await own.close();
    expect(memory()).toBe(before);
  });

  it('can be aborted, and its classifier closed meanwhile', async () => {
    const controller = new AbortController();
    const guides = [classifier.guide({ labels: 3 })];
    const long = { sampler: 'ddim', steps: 200, count: 16, seed: 1, guides } as const;
    const aborted = model.sample({
      ...long,
      signal: controller.signal,
      onProgress: () => {
        controller.abort();
      },
    });
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    const waiting = new AbortController();
    const never = withNativeSource(() => new Float32Array(0), {
      device: model.device,
      sampleShape: model.sampleShape,
      scale: 1,
      labels: () => new Int32Array(2),
      network: () => {
        waiting.abort();
        return new Promise(() => undefined);
      },
    });
    const loading = model.sample({ sampler: 'ddim', steps: 2, count: 2, guides: [never], signal: waiting.signal });
    await expect(loading).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    const own = await Classifier.load('mnist-classifier', { device: model.device });
    const running = model.sample({ sampler: 'ddim', steps: 8, count: 2, guides: [own.guide({ labels: 3 })] });
    await own.gradient(new Float32Array(elements), 1, 3);
    await own.close();
    expect((await running).images.count).toBe(2);
  });
});
