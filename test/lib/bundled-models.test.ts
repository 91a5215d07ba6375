// The models that the package brings beside the digits.
import { afterAll, describe, expect, it } from 'vitest';

import { logSoftmax } from '../../lib/guidance/classifier.js';
import { Classifier, Device, DiffusionModel, TextToImage } from '../../lib/index.js';
import { packagePath } from '../support/temporary.js';

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

/** Scripts have no types of their own. */
const { colours } = (await import(packagePath('scripts/emoji/compose.mjs'))) as { colours: Record<string, number[]> };

describe('emoji', () => {
  const names = Object.keys(colours);

  /** The name of the colour that is nearest to the corners of picture k. */
  function background(levels: Uint8Array, k: number): string {
    const side = 64;
    const corners = [0, side - 1, side * (side - 1), side * side - 1];
    const mean = [0, 1, 2].map(
      (channel) => corners.reduce((sum, i) => sum + levels[(3 * k + channel) * side * side + i]!, 0) / corners.length,
    );
    const far = (name: string): number => Math.hypot(...colours[name]!.map((level, c) => level - mean[c]!));
    return names.reduce((best, name) => (far(name) < far(best) ? name : best));
  }

  it('draws on the backgrounds that it is asked for', async () => {
    await using pipeline = await TextToImage.load('emoji', { device });
    const things = ['a red heart', 'a cat face', 'a rocket'];
    const asked = things.flatMap((thing) =>
      names.map((name) => ({ name, prompt: `${thing}, flat style, on ${name}` })),
    );
    const { images, truncated } = await pipeline.generate({ prompt: asked.map(({ prompt }) => prompt), batch: 24 });
    expect(images!.shape).toEqual([24, 3, 64, 64]);
    expect(truncated).not.toContain(true);
    const levels = images!.toUint8();
    const right = asked.filter(({ name }, k) => background(levels, k) === name);
    expect(right.length).toBeGreaterThanOrEqual(22);
  });

  it('draws other things for other words, and has what Analytic-DPM takes', async () => {
    await using pipeline = await TextToImage.load('emoji', { device });
    expect(pipeline.defaults).toEqual({ steps: 20, guidance: 3 });
    const own = { sampler: 'analytic-ddim', steps: 8, seed: 3, output: 'latents' } as const;
    const heart = await pipeline.generate({ ...own, prompt: 'a red heart, flat style, on white' });
    const rocket = await pipeline.generate({ ...own, prompt: 'a rocket, flat style, on white' });
    const difference = Math.hypot(...heart.latents.map((value, i) => value - rocket.latents[i]!));
    expect(difference / Math.sqrt(heart.latents.length)).toBeGreaterThan(0.3);
  });
});
