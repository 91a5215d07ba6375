// Samples that show how far training is.
import { describe, expect, it, vi } from 'vitest';

import type { HeadName } from '../../../lib/checkpoint/heads.js';
import { drawSamples } from '../../../lib/cli/train-samples.js';
import { DEFAULT_STEPS, type Trainer } from '../../../lib/index.js';

/** A trainer whose model notes what it is asked for. */
function trainerOf(classes: number, channels = 3, steps = 1000, head: HeadName | null = null) {
  const images = {};
  const sample = vi.fn((_options: object) => Promise.resolve({ images }));
  const dispose = vi.fn(() => Promise.resolve());
  const model = vi.fn(() => Promise.resolve({ sample, schedule: { steps }, [Symbol.asyncDispose]: dispose }));
  return {
    trainer: { classes, head, sampleShape: [channels, 8, 8], model } as unknown as Trainer,
    model,
    sample,
    images,
    dispose,
  };
}

describe('samples of a run', () => {
  const { signal } = new AbortController();

  it.each<[number, number, number, number, readonly number[] | undefined]>([
    [0, 4, 1000, DEFAULT_STEPS, undefined],
    [3, 4, 1000, DEFAULT_STEPS, [0, 1, 2, 0]],
    [3, 2, 10, 10, [0, 1]],
  ])(
    'of %i classes are %i of them in turn, the same noise every time',
    async (classes, count, all, steps, classLabels) => {
      const { trainer, sample, images, dispose } = trainerOf(classes, 3, all);
      const drawn = await drawSamples(trainer, count, signal);
      const expected = { sampler: 'ddim', steps, count, seed: 0, classLabels, format: 'uint8', signal };
      expect(sample.mock.calls).toEqual([[expected]]);
      expect(drawn).toBe(images);
      expect(dispose).toHaveBeenCalledOnce();
    },
  );

  it.each(['npr', 'sn'] as const)('of a head (%s) are those of its sampler', async (head) => {
    const { trainer, sample } = trainerOf(0, 3, 1000, head);
    await drawSamples(trainer, 1, signal);
    expect(sample.mock.calls[0]![0]).toMatchObject({ sampler: `${head}-ddpm` });
  });

  it.each([
    [null, { guidance: 4 }],
    ['npr', { guidance: 4, sampler: 'npr-ddpm' }],
    ['sn', { guidance: 1, sampler: 'sn-ddpm' }],
  ] as const)('of a pipeline are of captions in turn, by the sampler of its head (%s)', async (head, expected) => {
    const images = {};
    const generate = vi.fn((_options: object) => Promise.resolve({ images }));
    const pipeline = { generate, schedule: { steps: 1000 }, [Symbol.asyncDispose]: () => Promise.resolve() };
    const trainer = {
      isTextToImage: true,
      captionExamples: ['a', 'b'],
      head,
      pipeline: () => Promise.resolve(pipeline),
    } as unknown as Trainer;
    expect(await drawSamples(trainer, 3, signal)).toBe(images);
    const prompt = ['a', 'b', 'a'];
    expect(generate.mock.calls).toEqual([[{ prompt, steps: DEFAULT_STEPS, seed: 0, signal, ...expected }]]);
  });

  it.each([2, 4])('of %i channels have no picture', async (channels) => {
    const { trainer, model } = trainerOf(0, channels);
    expect(await drawSamples(trainer, 4, signal)).toBeNull();
    expect(model).not.toHaveBeenCalled();
  });
});
