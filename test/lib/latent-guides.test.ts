// Guides of pipelines: gradients that are added to the score of every prediction.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { samplers, TextToImage, type GenerateOptions, type Guide, type StepProgram } from '../../lib/index.js';
import { withGuides } from '../../lib/latents/guided-predictions.js';
import type { PromptedEvaluate } from '../../lib/latents/prompted-network.js';
import { guidedOutputShift } from '../../lib/schedule/prediction.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { linear } from '../support/sampled.js';

const own = { prompt: 'a cat', height: 16, width: 16, output: 'latents', sampler: 'ddim', count: 3, batch: 2 } as const;
const pulling = (x: Float32Array): Float32Array => x.map((value) => 2 - value);

describe('guides', () => {
  const evaluate: PromptedEvaluate = (x) => Promise.resolve({ out: new Float32Array(x.length) });
  const guided = (program: StepProgram) =>
    withGuides(evaluate, [(x) => new Float32Array(x.length).fill(1)], { schedule: linear, program, signal: undefined });
  const own = samplers.ddim(linear, { steps: 2, clip: 'none' });

  it('refuse programs that scale the states', () => {
    const [first, ...rest] = own.records;
    const scaled = { ...own, records: [{ ...first!, inputScale: 0.5 }, ...rest] };
    expect(() => guided(scaled)).toThrow('guides do not go with samplers that scale the states');
    expect(withGuides(evaluate, [], { schedule: linear, program: scaled, signal: undefined })).toBe(evaluate);
  });

  it("move the output that the program's prediction means, at each row's time", async () => {
    const states = new Float32Array(4);
    const times = Float32Array.of(999, 9);
    for (const prediction of [undefined, 'v', 'x0']) {
      const { out } = await guided({ ...own, prediction })(states, times, [4, 2]);
      const shifts = [...times].map((time) => Math.fround(guidedOutputShift(linear, time, prediction)));
      expect([...out]).toEqual(shifts.flatMap((shift) => [shift, shift]));
    }
  });
});

describe.each(['sd1', 'sd2'])('the guides of %s', (model) => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, model), { device: 'cpu' });
  });
  afterAll(() => pipeline.close());
  const draw = async (options: Partial<GenerateOptions> = {}): Promise<Float32Array> =>
    (await pipeline.generate({ ...own, steps: 3, ...options })).latents;

  it('change the picture that a step predicts by sigma^2 / alpha of their sum', async () => {
    const { schedule } = pipeline;
    const plain = await draw({ steps: 1 });
    const guides: Guide[] = [(x) => x.map((_, i) => Math.sin(i)), (x) => new Float32Array(x.length).fill(0.5)];
    const guided = await draw({ steps: 1, guides });
    const factor = schedule.betaBar(1000) / Math.sqrt(schedule.alphaBar(1000));
    // The first batch has two samples, the second one.
    const expected = plain.map((value, i) => value + factor * (Math.sin(i < 128 ? i : i - 128) + 0.5));
    expect(difference(guided, expected)).toBeLessThan(1e-4);
  });

  it('see the states, their times and samples, in streams and with other samplers, too', async () => {
    const seen: string[] = [];
    const watching: Guide = (x, t, first) => {
      seen.push(`${first}+${x.length / 64} at ${[...new Set(t)].join()}`);
      return new Float32Array(x.length);
    };
    const plain = await draw();
    expect(await draw({ guides: [watching] })).toEqual(plain);
    const times = (samples: string): string[] => [999, 499, 0].map((time) => `${samples} at ${time}`);
    expect(seen).toEqual([...times('0+2'), ...times('2+1')]);
    seen.length = 0;
    const streamed: number[] = [];
    for await (const { latents } of pipeline.stream({ ...own, steps: 3, guides: [watching] }))
      streamed.push(...latents);
    expect(streamed).toEqual([...plain]);
    expect(seen.length).toBe(6);
    const other = await draw({ sampler: 'dpm-solver++-2m', guides: [pulling] });
    expect(other).not.toEqual(await draw({ sampler: 'dpm-solver++-2m' }));
  });

  it('lead where they pull, of each sample by itself', async () => {
    const off = (latents: Float32Array): number => Math.hypot(...latents.map((value) => value - 2));
    expect(off(await draw({ steps: 10, guides: [pulling] }))).toBeLessThan(0.8 * off(await draw({ steps: 10 })));
    const second: Guide = (x, _, first) => x.map((value, i) => (first + Math.floor(i / 64) === 1 ? 2 - value : 0));
    const [plain, led] = [await draw(), await draw({ guides: [second] })];
    expect(led.slice(0, 64)).toEqual(plain.slice(0, 64));
    expect(led.slice(64, 128)).not.toEqual(plain.slice(64, 128));
    expect(led.slice(128)).toEqual(plain.slice(128));
  });

  it('are read at the call, and cannot change the states', async () => {
    const guides: Guide[] = [pulling];
    const drawing = draw({ guides });
    guides.length = 0;
    const spoiling: Guide = (x, t) => {
      const gradient = pulling(x);
      x.fill(9);
      t.fill(9);
      return gradient;
    };
    expect(await draw({ guides: [spoiling] })).toEqual(await drawing);
  });

  it('end with the call that is aborted, though they never answer', async () => {
    const never: Guide = () => new Promise<Float32Array>(() => undefined);
    const drawing = draw({ guides: [never], signal: AbortSignal.timeout(50) });
    await expect(drawing).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it.each<[string, unknown, string]>([
    ['gives too few numbers', () => new Float32Array(3), 'guide 0 returned 3 elements, not a Float32Array of 128'],
    ['gives a list', () => [1], 'guide 0 returned'],
    ['gives what is not finite', (x: Float32Array) => x.fill(NaN), 'what guide 0 returned'],
    [
      'fails',
      () => {
        throw new Error('nothing to see');
      },
      'nothing to see',
    ],
    ['is none', 3, 'guides'],
  ])('are refused where one %s', async (_, guide, message) => {
    await expect(draw({ guides: [guide as Guide] })).rejects.toThrow(message);
  });
});
