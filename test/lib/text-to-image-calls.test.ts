// What a call of a text-to-image pipeline can ask for: prompts of any length, seeds, streams, previews, less memory.
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { MapNetwork } from '../../lib/engine/map-network.js';
import { readJson } from '../../lib/files/files.js';
import { Device, NoiseSchedule, TextToImage, type GenerateOptions, type ImageBatch } from '../../lib/index.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { readTensors } from '../support/tensors.js';

const taesd = join(latentFixtures, 'taesd');
const small = { prompt: 'a cat', steps: 3, height: 16, width: 16, output: 'latents' } as const;
/** Elements of the latents of one of these images. */
const one = 4 * 4 * 4;

let pipeline: TextToImage;
beforeAll(async () => {
  pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', preview: taesd });
});
afterAll(() => pipeline.close());
afterEach(() => {
  delete process.env.DPM_MEMORY;
});

describe('prompts of different lengths', () => {
  const mixed = join(latentFixtures, 'prompts-mixed');
  interface Row {
    prompt: string;
    negative_prompt: string;
    guidance_scale: number;
  }
  let rows: Row[];
  let options: Omit<GenerateOptions, 'prompt'>;
  let chunked: TextToImage;
  beforeAll(async () => {
    ({ rows } = (await readJson(join(mixed, 'rows.json'))) as { rows: Row[] });
    const { scheduler } = (await readJson(join(mixed, 'row0-chunks.json'))) as { scheduler: Record<string, unknown> };
    const schedule = NoiseSchedule.fromSchedulerConfig(scheduler);
    chunked = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', schedule });
    options = { longPrompts: 'chunks', steps: 4, height: 32, width: 16 };
  });
  afterAll(() => chunked.close());

  async function goldenRow(k: number) {
    return readTensors(join(mixed, `row${k}-chunks.safetensors`));
  }

  it('are drawn in one batch as each alone, as the library draws them', async () => {
    const goldens = await Promise.all(rows.map((_, k) => goldenRow(k)));
    const init = Float32Array.from(goldens.flatMap(({ latents }) => [...latents!]));
    const all = await chunked.generate({
      ...options,
      prompt: rows.map(({ prompt }) => prompt),
      negativePrompt: rows.map((row) => row.negative_prompt),
      guidance: rows.map((row) => row.guidance_scale),
      init,
    });
    expect(all.truncated).toEqual([false, false, false]);
    const each = all.latents.length / 3;
    for (const [k, golden] of goldens.entries()) {
      const latents = all.latents.slice(k * each, (k + 1) * each);
      expect(difference(chunked.vae.fromDiffusion(latents), golden.decoder_input!), `row ${k}`).toBeLessThan(2e-4);
      const { prompt, negative_prompt: negativePrompt, guidance_scale: guidance } = rows[k]!;
      const alone = await chunked.generate({ ...options, prompt, negativePrompt, guidance, init: golden.latents! });
      expect(alone.latents, `row ${k}`).toEqual(latents);
    }
  });

  it('are cut unless chunks are asked for', async () => {
    const { prompt } = rows[1]!;
    const cut = await chunked.generate({ ...options, longPrompts: 'truncate', prompt });
    expect(cut.truncated).toEqual([true]);
    const whole = await chunked.generate({ ...options, prompt });
    expect(whole.truncated).toEqual([false]);
    expect(whole.latents).not.toEqual(cut.latents);
    expect((await chunked.generate({ steps: 4, height: 32, width: 16, prompt })).latents).toEqual(cut.latents);
  });

  it('are encoded anew for another number of parts', async () => {
    const call = { ...small, longPrompts: 'chunks', seed: [1] } as const;
    const others = ['', 'ship '.repeat(100)];
    const both = await pipeline.generate({ ...call, count: 2, negativePrompt: others, seed: [1, 1] });
    for (const [k, negativePrompt] of others.entries()) {
      const alone = await pipeline.generate({ ...call, negativePrompt });
      expect(both.latents.slice(k * one, (k + 1) * one), `negative prompt ${k}`).toEqual(alone.latents);
    }
  });

  it('are seen by the network once each, however many images have them', async () => {
    const forward = vi.spyOn(MapNetwork.prototype, 'forward');
    await pipeline.generate({ ...small, sampler: 'ddim', prompt: ['a cat', 'a dog', 'a cat'], guidance: [3, 1, 3] });
    const seen = forward.mock.calls.flatMap(([, , , { given } = {}]) =>
      given?.context instanceof Float32Array
        ? [{ indices: Array.from(given.groups ?? []), context: given.context }]
        : [],
    );
    forward.mockRestore();
    const { hidden } = await pipeline.encodePrompt('a cat');
    const { data: one } = await pipeline.unet.prepare(hidden, 1);
    // Samples with guidance take their negative prompt, which both share, first.
    for (const { context, indices } of seen) {
      expect([context.length / one.length, indices]).toEqual([3, [0, 1, 2, 0, 1]]);
    }
    expect(seen).toHaveLength(3);
    // They are joined once for all steps.
    expect(seen[1]!.context).toBe(seen[0]!.context);
  });

  it('are encoded some at a time, however many they are', async () => {
    const prompts = Array.from({ length: 18 }, (_, k) => `ship ${k}`);
    const call = { ...small, steps: 1, guidance: 1 };
    const { latents } = await pipeline.generate({ ...call, prompt: prompts, seed: prompts.map(() => 1) });
    for (const k of [0, 15, 16, 17]) {
      const alone = await pipeline.generate({ ...call, prompt: prompts[k]!, seed: 1 });
      expect(latents.slice(k * one, (k + 1) * one), prompts[k]).toEqual(alone.latents);
    }
  });

  it('are encoded by both encoders of SDXL, whose absent negative prompt is zeros of as many tokens', async () => {
    await using sdxl = await TextToImage.load(join(latentFixtures, 'sdxl'), { device: 'cpu' });
    const long = { ...small, longPrompts: 'chunks', prompt: 'ship '.repeat(100) } as const;
    const { latents, truncated } = await sdxl.generate(long);
    expect(truncated).toEqual([false]);
    expect((await sdxl.generate({ ...long, negativePrompt: '' })).latents).not.toEqual(latents);
    const both = await sdxl.generate({ ...long, prompt: ['a cat', long.prompt], seed: [1, 0] });
    expect(both.latents.slice(latents.length)).toEqual(latents);
  });
});

describe('seeds', () => {
  it('are one for all images, from the first sample on', async () => {
    const all = await pipeline.generate({ ...small, count: 3, seed: 5 });
    const last = await pipeline.generate({ ...small, count: 2, seed: 5, first: 1 });
    expect(last.latents).toEqual(all.latents.slice(one));
  });

  it('are one each, of which every image is the first sample', async () => {
    const { latents } = await pipeline.generate({ ...small, count: 3, seed: [7, 9n, 7] });
    expect(latents.slice(0, one)).toEqual((await pipeline.generate({ ...small, seed: 7 })).latents);
    expect(latents.slice(one, 2 * one)).toEqual((await pipeline.generate({ ...small, seed: 9 })).latents);
    expect(latents.slice(2 * one)).toEqual(latents.slice(0, one));
    const later = await pipeline.generate({ ...small, seed: [9], first: 2 });
    expect(later.latents).toEqual((await pipeline.generate({ ...small, seed: 9, first: 2 })).latents);
  });

  it('serve the noise of the steps, too', async () => {
    const noisy = { ...small, sampler: 'ddpm', init: new Float32Array(2 * one) } as const;
    const { latents } = await pipeline.generate({ ...noisy, count: 2, seed: [3, 4] });
    expect(latents.slice(one)).not.toEqual(latents.slice(0, one));
    const swapped = await pipeline.generate({ ...noisy, count: 2, seed: [4, 3] });
    expect(swapped.latents.slice(one)).toEqual(latents.slice(0, one));
  });
});

describe('guidance', () => {
  it('is one weight for all images or one each', async () => {
    const { latents } = await pipeline.generate({ ...small, count: 2, seed: [1, 1], guidance: [1, 4] });
    expect(latents.slice(0, one)).toEqual((await pipeline.generate({ ...small, seed: 1, guidance: 1 })).latents);
    expect(latents.slice(one)).toEqual((await pipeline.generate({ ...small, seed: 1, guidance: 4 })).latents);
  });

  it('is seen by a network that was made for it', async () => {
    await using lcm = await TextToImage.load(join(latentFixtures, 'lcm'), { device: 'cpu' });
    const { latents } = await lcm.generate({ ...small, count: 2, seed: [1, 1], guidance: [1, 8] });
    const half = latents.length / 2;
    expect(latents.slice(0, half)).not.toEqual(latents.slice(half));
    expect(latents.slice(half)).toEqual((await lcm.generate({ ...small, seed: 1, guidance: 8 })).latents);
  });
});

it('the sizes that SDXL sees are those of the image, the height first', async () => {
  await using sdxl = await TextToImage.load(join(latentFixtures, 'sdxl'), { device: 'cpu' });
  const call = { ...small, height: 16, width: 24 };
  const { latents } = await sdxl.generate(call);
  expect((await sdxl.generate({ ...call, sizes: [16, 24, 0, 0, 16, 24] })).latents).toEqual(latents);
  expect((await sdxl.generate({ ...call, sizes: [24, 16, 0, 0, 24, 16] })).latents).not.toEqual(latents);
});

describe('a stream', () => {
  it('yields the images of a call, whatever the batch', async () => {
    const call = { ...small, output: 'images', count: 3, seed: [4, 5, 6] } as const;
    const { images, latents } = await pipeline.generate(call);
    for (const batch of [1, 2, 3]) {
      let next = 0;
      for await (const { sample, image, latents: own, truncated } of pipeline.stream({ ...call, batch })) {
        expect(sample).toBe(next++);
        expect(image!.data, `batch ${batch}`).toEqual(images!.slice(sample, sample + 1).data);
        expect(own).toEqual(latents.slice(sample * one, (sample + 1) * one));
        expect(truncated).toBe(false);
      }
      expect(next).toBe(3);
    }
  });

  it('evaluates as many images at once as the batch says', async () => {
    const places: number[] = [];
    const seen = pipeline.stream({ ...small, count: 3, batch: 2, onProgress: (done) => places.push(done) });
    const { value } = await seen.next();
    expect(value).toMatchObject({ sample: 0, image: null });
    expect(places.length).toBeLessThan(3 * 4);
    await seen.return();
  });

  it('ends when it is left, and when it is aborted', async () => {
    const left = pipeline.stream({ ...small, count: 1000, batch: 1 });
    await left.next();
    await left.return();
    expect(await left.next()).toEqual({ value: undefined, done: true });
    const stop = new AbortController();
    const aborted = pipeline.stream({ ...small, count: 1000, batch: 1, signal: stop.signal });
    await aborted.next();
    stop.abort();
    await expect(
      (async () => {
        for await (const { sample } of aborted) expect(sample).toBeLessThan(5);
      })(),
    ).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('refuses wrong options at the call', () => {
    expect(() => pipeline.stream({ ...small, height: 30 })).toThrow('height is 30');
    expect(() => pipeline.stream({ ...small, steps: 0 })).toThrow('steps');
  });
});

describe('previews', () => {
  it('are images of the small autoencoder, before the last ones', async () => {
    const seen: { record: number; first: number; images: ImageBatch }[] = [];
    const call = { ...small, width: 24, count: 2, sampler: 'ddim', steps: 4 } as const;
    const plain = await pipeline.generate(call);
    const { latents } = await pipeline.generate({
      ...call,
      previewEvery: 2,
      onPreview: (images, { record, first }) => {
        seen.push({ record, first, images });
      },
    });
    expect(latents).toEqual(plain.latents);
    const records = seen.map(({ record }) => record);
    expect(new Set(records)).toEqual(new Set([2, 4]));
    // It has a factor of 8, on latents of 4 x 6.
    expect(seen[0]!.images.shape.slice(1)).toEqual([3, 32, 48]);
    const last = seen.find(({ record, first }) => record === 4 && first === 0)!;
    await using tiny = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', preview: taesd });
    expect(tiny.vae.isSmall).toBe(false);
    expect(last.images.data.every(Number.isFinite)).toBe(true);
  });

  it('end the call with the error of their function', async () => {
    const onPreview = (): void => {
      throw new Error('no screen');
    };
    await expect(pipeline.generate({ ...small, onPreview })).rejects.toThrow('no screen');
    const stream = pipeline.stream({ ...small, onPreview });
    await expect(stream.next()).rejects.toThrow('no screen');
  });

  it('are made by a network that is closed with the pipeline', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const own = await TextToImage.load(join(latentFixtures, 'sd1'), { device, preview: taesd });
    await own.generate({ ...small, onPreview: () => undefined });
    await own.close();
    expect(device.memory().host).toBe(0);
  });

  it('need a small autoencoder of the same latents', async () => {
    await using plain = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
    await expect(plain.generate({ ...small, onPreview: () => undefined })).rejects.toThrow('load the pipeline with');
    expect(() => plain.stream({ ...small, onPreview: () => undefined })).toThrow('load the pipeline with');
    await expect(pipeline.generate({ ...small, previewEvery: 2 })).rejects.toThrow('onPreview, which is missing');
    await expect(
      TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', preview: 'nowhere' }),
    ).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

describe('memory', () => {
  const call = { ...small, output: 'images', seed: 2 } as const;

  it('of text encoders and autoencoder is freed where only the U-Net is kept, and all of it where nothing is', async () => {
    const expected = await pipeline.generate(call);
    const bytes = new Map<string, number>();
    for (const keep of ['all', 'unet', 'none', undefined] as const) {
      await using own = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', keep });
      for (let round = 0; round < 2; ++round) {
        expect((await own.generate(call)).images!.data).toEqual(expected.images!.data);
        bytes.set(keep ?? 'default', own.device.memory().host);
      }
    }
    expect(bytes.get('unet')!).toBeLessThan(bytes.get('all')! / 1.2);
    expect(bytes.get('none')!).toBe(0);
    expect(bytes.get('default')!).toBe(bytes.get('all')!);
    await expect(TextToImage.load(join(latentFixtures, 'sd1'), { keep: 'vae' as never })).rejects.toThrow(
      'keep is "vae"',
    );
  });

  it('of a stream is freed at its end, not between its images', async () => {
    await using own = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', keep: 'none' });
    const used: number[] = [];
    for await (const { image } of own.stream({ ...call, count: 3, batch: 1 })) {
      expect(image!.count).toBe(1);
      used.push(own.device.memory().host);
    }
    expect(Math.min(...used)).toBeGreaterThan(0.9 * Math.max(...used));
    expect(own.device.memory().host).toBe(0);
  });

  it('that is short makes tiles, of which the result tells', async () => {
    const large = { ...call, height: 320, width: 320, steps: 1 };
    const whole = await pipeline.generate(large);
    expect(whole.tile).toBeNull();
    expect((await pipeline.generate({ ...large, tile: 64 })).tile).toBe(64);
    process.env.DPM_MEMORY = '0.06';
    const tiled = await pipeline.generate(large);
    expect(tiled.tile).toBe(64);
    expect(tiled.latents).toEqual(whole.latents);
    delete process.env.DPM_MEMORY;
    const asked = await pipeline.generate({ ...large, tile: 64 });
    expect(tiled.images!.data).toEqual(asked.images!.data);
    expect(tiled.images!.data).not.toEqual(whole.images!.data);
  });

  it('that does not suffice is told with the figure, before weights are packed', async () => {
    await using own = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', keep: 'none' });
    process.env.DPM_MEMORY = '0.0001';
    await expect(own.generate(call)).rejects.toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    await expect(own.generate(call)).rejects.toThrow(/weights of the U-Net: that takes .* GiB, this machine has/);
    process.env.DPM_MEMORY = '0.005';
    await expect(own.generate({ ...call, height: 384, width: 384, output: 'latents' })).rejects.toThrow(
      /the U-Net for 2 states of 96 x 96: that takes/,
    );
    // The first batch is not the largest one.
    const later = {
      ...call,
      height: 384,
      width: 384,
      output: 'latents',
      batch: 1,
      count: 2,
      guidance: [1, 4],
    } as const;
    await expect(own.stream(later).next()).rejects.toThrow('the U-Net for 2 states of 96 x 96');
  });
});

it.each([
  [{ prompt: 'a', longPrompts: 'split' }, 'longPrompts'],
  [{ prompt: 'a', seed: [1, 2] }, 'seed has 2 seeds for 1 images'],
  [{ prompt: 'a', seed: [-1] }, 'seed'],
  [{ prompt: 'a', guidance: [1, 2] }, 'guidance has 2 weights for 1 images'],
  [{ prompt: 'a', guidance: [Number.NaN] }, 'guidance is'],
  [{ prompt: 'a', first: -1 }, 'first'],
  [{ prompt: 'a', batch: 0 }, 'batch'],
  [{ prompt: 'a', sampler: 'predictor-corrector', seed: [1] }, 'chooses its own steps'],
])('refuses %j', async (options, message) => {
  await expect(pipeline.generate({ height: 16, width: 16, ...options } as GenerateOptions)).rejects.toThrow(message);
});
