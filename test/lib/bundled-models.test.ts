// The models that the package brings beside the digits.
import { afterAll, describe, expect, it } from 'vitest';

import { logSoftmax } from '../../lib/guidance/classifier.js';
import { Classifier, Device, DiffusionModel } from '../../lib/index.js';

const device = Device.open({ device: 'cpu', threads: 2 });
const CLASSES = 10;
const BAG = 8;

afterAll(async () => {
  await device.close();
});

/** The most probable class of each image, and its probability. */
async function classesOf(classifier: Classifier, images: Float32Array, count: number) {
  const logits = await classifier.logits(images, 0);
  return Array.from({ length: count }, (_, n) => {
    const own = [...logSoftmax(logits.subarray(n * CLASSES, (n + 1) * CLASSES))];
    const largest = Math.max(...own);
    return { label: own.indexOf(largest), probability: Math.exp(largest) };
  });
}

describe('fashion-mnist', () => {
  it('draws clothes of many classes, which its classifier tells apart', async () => {
    await using model = await DiffusionModel.load('fashion-mnist', { device });
    await using classifier = await Classifier.load('fashion-mnist-classifier', { device });
    const count = 40;
    const { images } = await model.sample({ sampler: 'ddim', steps: 15, count, seed: 1 });
    const found = await classesOf(classifier, images.data, count);
    expect(new Set(found.map(({ label }) => label)).size).toBeGreaterThanOrEqual(7);
    const sure = found.filter(({ probability }) => probability > 0.5).length;
    expect(sure).toBeGreaterThan(0.8 * count);
  });

  it('is guided to a class by it', async () => {
    await using model = await DiffusionModel.load('fashion-mnist', { device });
    await using classifier = await Classifier.load('fashion-mnist-classifier', { device });
    const count = 12;
    const guides = [classifier.guide({ labels: BAG, scale: 4 })];
    const { images } = await model.sample({ sampler: 'ddim', steps: 15, count, seed: 1, guides });
    const bags = (await classesOf(classifier, images.data, count)).filter(({ label }) => label === BAG);
    expect(bags.length).toBeGreaterThanOrEqual(0.8 * count);
  });

  it.each(['npr-ddpm', 'sn-ddpm', 'analytic-ddpm'] as const)('has what %s takes', async (sampler) => {
    await using model = await DiffusionModel.load('fashion-mnist', { device });
    const { images } = await model.sample({ sampler, steps: 8, count: 2, seed: 1 });
    const [low, high] = [Math.min(...images.data), Math.max(...images.data)];
    expect(low).toBeLessThan(-0.9);
    expect(high).toBeGreaterThan(0.3);
  });
});
