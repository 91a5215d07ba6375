// Pictures back to their noise: DDIM's steps taken back, on the bundled model of words and on a tiny one.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { ImageBatch, NoiseSchedule, samplers, TextToImage, type InvertOptions } from '../../lib/index.js';
import { invertDefaults } from '../../lib/latents/inversion.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';

const rootMeanSquare = (values: Float32Array): number => Math.hypot(...values) / Math.sqrt(values.length);

describe('a picture of the bundled model', () => {
  const prompt = 'a red apple on blue';
  let pipeline: TextToImage;
  let latents: Float32Array;
  beforeAll(async () => {
    pipeline = await TextToImage.load('emoji', { device: 'cpu' });
    latents = (await pipeline.generate({ prompt, seed: 3, steps: 10, output: 'latents' })).latents;
  });
  afterAll(() => pipeline.close());
  const again = (init: Float32Array, sampler: 'ddim' | 'probability-flow'): Promise<{ latents: Float32Array }> =>
    pipeline.generate({ prompt, init, sampler, steps: 20, guidance: 1, output: 'latents' });

  it.each(['ddim', 'probability-flow'] as const)(
    'comes back to noise by %s, the closer the more iterations',
    async (sampler) => {
      const errors: number[] = [];
      for (const iterations of [1, 2, 4, 8]) {
        const { noise } = await pipeline.invert({ image: latents, prompt, sampler, iterations, steps: 20 });
        const back = await again(noise, sampler);
        const error = rootMeanSquare(back.latents.map((value, i) => value - latents[i]!));
        errors.push(error / rootMeanSquare(latents));
        if (iterations === 8) expect(Math.abs(rootMeanSquare(noise) - 1)).toBeLessThan(0.12);
      }
      expect(errors).toEqual([...errors].sort((a, b) => b - a));
      expect(errors[0]).toBeLessThan(0.05);
      expect(errors[3]).toBeLessThan(0.005);
    },
  );

  it("comes back by a file's Euler, whose states and inputs are scaled, too", async () => {
    const file = { beta_schedule: 'scaled_linear', beta_end: 0.003, prediction_type: 'v_prediction' };
    const schedule = NoiseSchedule.fromSchedulerConfig({ _class_name: 'EulerDiscreteScheduler', ...file });
    await using euler = await TextToImage.load('emoji', { device: 'cpu', schedule });
    const run = { prompt, steps: 20, sampler: 'scheduler', guidance: 1 } as const;
    expect(samplers.scheduler(schedule, { steps: 20 }).initialScale).toBeLessThan(0.9);
    const { noise } = await euler.invert({ ...run, image: latents, iterations: 12 });
    const back = await euler.generate({ ...run, init: noise, output: 'latents' });
    const error = rootMeanSquare(back.latents.map((value, i) => value - latents[i]!));
    expect(error / rootMeanSquare(latents)).toBeLessThan(0.02);
  });

  it('keeps what the other prompt does not say', async () => {
    const steps = 20;
    const { noise } = await pipeline.invert({ image: latents, prompt, steps });
    const edited = 'a red apple on yellow';
    const { images } = await pipeline.generate({ prompt: edited, init: noise, steps, sampler: 'ddim' });
    const first = (await pipeline.generate({ prompt, init: noise, steps, sampler: 'ddim' })).images!;
    const pixel = (of: ImageBatch, y: number, x: number): number[] =>
      [0, 1, 2].map((channel) => of.toUint8()[(channel * 64 + y) * 64 + x]!);
    // A corner turns from blue to yellow, the middle of the apple stays red.
    const [blue, yellow] = [pixel(first, 3, 3), pixel(images!, 3, 3)];
    expect(blue[2]! - blue[0]!).toBeGreaterThan(60);
    expect(yellow[0]! - yellow[2]!).toBeGreaterThan(60);
    for (const [red, ...others] of [pixel(first, 36, 30), pixel(images!, 36, 30)]) {
      for (const other of others) expect(red! - other).toBeGreaterThan(120);
    }
  });
});

describe('inversion', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
  });
  afterAll(() => pipeline.close());
  const latents = Float32Array.from({ length: 2 * 64 }, (_, i) => Math.sin(i));
  const own = { prompt: 'a cat', image: latents, count: 2, steps: 2, height: 16, width: 16, iterations: 1 } as const;
  const noiseOf = async (options: Partial<InvertOptions> = {}): Promise<Float32Array> =>
    (await pipeline.invert({ ...own, ...options })).noise;

  it('takes the prediction at the end of each step for that at its beginning, as the paper does', async () => {
    const { schedule, unet } = pipeline;
    const { hidden } = await pipeline.encodePrompt('a cat');
    let x = latents.slice(0, 64);
    // Three steps of DDIM, from the last to the first.
    let from = { alpha: 1, sigma: 0 };
    const times: number[] = [];
    for (const time of [1, 500, 1000]) {
      const to = { alpha: Math.sqrt(schedule.alphaBar(time)), sigma: Math.sqrt(schedule.betaBar(time)) };
      times.push(schedule.networkTime(time));
      const noise = await unet.forward(x, schedule.networkTime(time), { height: 4, width: 4, context: hidden });
      const before = from;
      x = x.map((value, i) => (to.alpha / before.alpha) * (value - before.sigma * noise[i]!) + to.sigma * noise[i]!);
      from = to;
    }
    const program = samplers.ddim(schedule, { steps: 3, clip: 'none' });
    expect(program.records.map(({ time }) => time).reverse()).toEqual(times);
    expect(difference((await noiseOf({ steps: 3 })).slice(0, 64), x)).toBeLessThan(1e-4);
  });

  it('gives each image what it gives it alone, and its own prompt', async () => {
    const both = await noiseOf({ prompt: ['a cat', 'a dog'] });
    expect(await noiseOf({ prompt: ['a cat', 'a dog'], batch: 1 })).toEqual(both);
    expect(await noiseOf({ prompt: 'a dog', count: 1, image: latents.slice(64) })).toEqual(both.slice(64));
    expect((await noiseOf()).slice(64)).not.toEqual(both.slice(64));
  });

  it('takes pictures by the means of their latents', async () => {
    const image = new ImageBatch(
      Float32Array.from({ length: 3 * 16 * 24 }, (_, i) => Math.sin(i / 7)),
      [1, 3, 16, 24],
    );
    const { mean } = await pipeline.vae.encode(image.data, { height: 16, width: 24 });
    const sides = { height: undefined, width: undefined, count: 1 };
    const pictured = await noiseOf({ ...sides, image });
    expect(pictured).toEqual(await noiseOf({ count: 1, height: 16, width: 24, image: pipeline.vae.toDiffusion(mean) }));
  });

  it('does what its options say, whose defaults are those that are told', async () => {
    const plain = await noiseOf({ iterations: undefined });
    expect(invertDefaults).toMatchObject({ sampler: 'ddim', guidance: 1, iterations: 4 });
    const { sampler, guidance, iterations } = invertDefaults;
    expect(await noiseOf({ sampler, guidance, iterations })).toEqual(plain);
    const guided = { guidance: 4, negativePrompt: 'blurry' };
    const others: Partial<InvertOptions>[] = [
      { sampler: 'probability-flow' },
      { steps: 3 },
      { iterations: 2 },
      guided,
      { ...guided, negativePrompt: 'a dog' },
      { ...guided, guidanceRescale: 0.7 },
      { skippedLayers: 1 },
    ];
    const all = [plain, ...(await Promise.all(others.map((each) => noiseOf({ iterations: undefined, ...each }))))];
    expect(new Set(all.map((noise) => noise.join())).size).toBe(all.length);
    expect((await pipeline.invert({ ...own, prompt: ['ship '.repeat(200), 'a cat'] })).truncated).toEqual([
      true,
      false,
    ]);
  });

  it('encodes in tiles, reads long prompts whole, and shows the network other sizes, where it is told to', async () => {
    const image = new ImageBatch(
      Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => Math.sin(i / 7)),
      [1, 3, 32, 32],
    );
    const whole = { image, count: 1, height: 32, width: 32 };
    expect(await noiseOf({ ...whole, tile: 4 })).not.toEqual(await noiseOf(whole));
    const long = { prompt: 'ship '.repeat(100) };
    expect(await noiseOf({ ...long, longPrompts: 'chunks' })).not.toEqual(await noiseOf(long));
    await using pooled = await TextToImage.load(join(latentFixtures, 'sdxl'), { device: 'cpu' });
    const guided = {
      prompt: 'a cat',
      steps: 2,
      height: 16,
      width: 16,
      guidance: 3,
      image: new Float32Array(256).fill(0.5),
    };
    const seen = await Promise.all(
      [{}, { sizes: [8, 8, 0, 0, 16, 16] }, { negativeSizes: [8, 8, 0, 0, 16, 16] }].map(async (sizes) =>
        (await pooled.invert({ ...guided, ...sizes })).noise.join(),
      ),
    );
    expect(new Set(seen).size).toBe(3);
  });

  it('is refused where its evaluations do not fit into the memory there is', async () => {
    process.env.DPM_MEMORY = '0.0001';
    const refused = noiseOf().finally(() => {
      delete process.env.DPM_MEMORY;
    });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_DPM_OUT_OF_MEMORY',
      message: expect.stringContaining('the weights of the U-Net') as string,
    });
  });

  it.each([
    ['all', 0, 0],
    ['unet', 1, 0],
    ['none', 1, 1],
  ] as const)('with keep %s frees what is not kept', async (keep, decoder, unet) => {
    await using own = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', keep });
    const freed = [vi.spyOn(own.vae, 'release'), vi.spyOn(own.unet, 'release')];
    const image = new ImageBatch(new Float32Array(3 * 256), [1, 3, 16, 16]);
    await own.invert({ prompt: 'a cat', image, steps: 1 });
    expect(freed.map(({ mock }) => mock.calls.length)).toEqual([decoder, unet]);
  });

  it('tells how far it is, and ends when it is aborted', async () => {
    const told: string[] = [];
    await noiseOf({ batch: 1, onProgress: (done, all) => told.push(`${done} of ${all}`) });
    expect(told).toEqual(['1 of 4', '2 of 4', '3 of 4', '4 of 4']);
    const stop = new AbortController();
    let evaluated = 0;
    const onProgress = (): void => {
      ++evaluated;
      stop.abort();
    };
    const aborted = noiseOf({ steps: 9, signal: stop.signal, onProgress });
    await expect(aborted).rejects.toMatchObject({
      code: 'ERR_DPM_ABORTED',
    });
    expect(evaluated).toBe(1);
    // Within a step, too: its iterations would take minutes.
    const soon = noiseOf({ steps: 1, iterations: 1_000_000, signal: AbortSignal.timeout(50) });
    await expect(soon).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('reads its picture at the call', async () => {
    const image = latents.slice();
    const noise = noiseOf({ image });
    image.fill(0);
    expect(await noise).toEqual(await noiseOf());
  });

  it.each<[object, string]>([
    [{ image: undefined }, 'image is'],
    [{ image: new Float32Array(3) }, 'image has 3 values'],
    [{ iterations: 0 }, 'iterations is 0'],
    [{ sampler: 'scheduler' }, 'sampler scheduler cannot be taken back'],
    [{ sampler: 'ddpm' }, 'sampler ddpm cannot be taken back'],
    [{ strength: 0.5 }, 'strength'],
    [{ seed: 1 }, 'seed'],
  ])('refuses %j', async (options, message) => {
    await expect(noiseOf(options as Partial<InvertOptions>)).rejects.toThrow(message);
  });
});
