// The images of an estimate, their labels and their noise.
import { describe, expect, it } from 'vitest';

import { centredRange } from '../../../lib/base/pixel-range.js';
import { chooseImages, partOfChosen } from '../../../lib/estimation/chosen-images.js';
import { NoisyBatch } from '../../../lib/estimation/noisy-batch.js';
import { DiffusionModel } from '../../../lib/index.js';

const space = { sampleShape: [1, 1, 2], schedule: { defaults: { dataRange: centredRange } } };
/** Ten images, whose values and labels tell which they are. */
const images = (): Float32Array => Float32Array.from({ length: 20 }, (_, i) => Math.floor(i / 2));
const classLabels = Array.from({ length: 10 }, (_, i) => 100 + i);

describe('chosen images', () => {
  it('have the values and the labels of their places in the data', () => {
    for (const samples of [4, 10, undefined]) {
      const { indices, data, labels } = chooseImages(space, images(), { samples, seed: 3, classLabels });
      expect(indices).toHaveLength(samples ?? 10);
      expect(new Set(indices).size).toBe(indices.length);
      expect(indices).not.toEqual([...indices].sort((a, b) => a - b));
      expect(labels).toEqual(indices.map((index) => 100 + index));
      expect([...data]).toEqual(indices.flatMap((index) => [index, index]));
    }
  });

  it('are those of the call, whatever becomes of the data', () => {
    const given = images();
    const { indices, data } = chooseImages(space, given, {});
    given.fill(-1);
    expect([...data]).toEqual(indices.flatMap((index) => [index, index]));
  });

  it('are taken apart with their labels', () => {
    const chosen = chooseImages(space, images(), { classLabels });
    const part = partOfChosen(chosen, 8, 4);
    expect(part.indices).toEqual(chosen.indices.slice(8));
    expect(part.labels).toEqual(part.indices.map((index) => 100 + index));
    expect([...part.data]).toEqual(part.indices.flatMap((index) => [index, index]));
  });
});

it('noise of a batch is that of its seed, its images and the time', async () => {
  await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  const noiseOf = async (options: { seed: number; firstSample: number }, ...times: number[]): Promise<number[]> => {
    const black = { indices: [0], data: new Float32Array(784), labels: undefined };
    const batch = await NoisyBatch.open(model, black, options);
    try {
      let noise: number[] = [];
      for (const time of times) {
        const deviation = Math.sqrt(model.schedule.betaBar(time));
        noise = Array.from((await batch.predict(time)).states, (value) => Math.round((1e3 * value) / deviation) / 1e3);
      }
      return noise;
    } finally {
      batch.free();
    }
  };
  const options = { seed: 1, firstSample: 0 };
  const noise = await noiseOf(options, 5);
  expect(await noiseOf(options, 900, 5)).toEqual(noise);
  expect(await noiseOf(options, 6)).not.toEqual(noise);
  expect(await noiseOf({ ...options, seed: 2 }, 5)).not.toEqual(noise);
  expect(await noiseOf({ ...options, firstSample: 1 }, 5)).not.toEqual(noise);
});
