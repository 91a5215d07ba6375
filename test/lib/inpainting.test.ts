// Parts of pictures drawn anew, against whole runs of the public library and by what a mask means.
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import type * as normalsModule from '../../lib/engine/normals.js';
import type { NoiseStream } from '../../lib/engine/update.js';
import { ImageBatch, TextToImage, type GenerateOptions } from '../../lib/index.js';
import { expectRun, runsIn } from '../support/golden-runs.js';
import { latentFixtures } from '../support/latent-goldens.js';

/** Noise in place of the samples' own, by draw: what the library has drawn. */
const given = new Map<number, Float32Array>();
vi.mock('../../lib/engine/normals.js', async (original) => {
  const module = await original<typeof normalsModule>();
  return {
    ...module,
    normals: (device: never, shape: readonly number[], streams: readonly NoiseStream[]) =>
      given.get(streams[0]!.draw) ?? module.normals(device, shape, streams),
  };
});

beforeEach(() => {
  given.clear();
});

const folder = join(latentFixtures, 'inpaint');
const models: Record<string, string> = { sd1: 'sd1', inpaint: 'sd1-inpaint' };

describe.each(['cpu', 'reference'])('inpainting on %s', (device) => {
  it.each(runsIn(folder))('%s has the images of the library', async (name) => {
    const model = models[name.split('-')[0]!]!;
    await expectRun({ model, folder, name }, { device }, (_, expected, { height, width }) => {
      // The library encodes what is kept alone where nothing else is left of the picture.
      const posterior = expected.posterior_noise!;
      const one = expected.start_noise!.length;
      given.set(0, expected.start_noise!);
      given.set(6, posterior.subarray(0, one));
      given.set(7, posterior.subarray(posterior.length - one));
      return { image: new ImageBatch(expected.image!, [2, 3, height!, width!]), mask: expected.mask_image! };
    });
  });
});

describe('a mask', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
  });
  afterAll(() => pipeline.close());

  const picture = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
  const half = Float32Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? 1 : 0));
  const own = {
    prompt: 'a cat',
    steps: 3,
    sampler: 'ddim',
    output: 'latents',
    height: 16,
    width: 16,
    image: picture,
  } as const;
  const isNew = (i: number): boolean => i % 4 < 2;

  it('keeps the rest to the bit, and changes what it marks', async () => {
    const { latents } = await pipeline.generate({ ...own, mask: half });
    latents.forEach((value, i) => {
      if (isNew(i)) expect(value).not.toBe(picture[i]);
      else expect(value).toBe(picture[i]);
    });
  });

  it.each(['scheduler', 'heun', 'dpm-solver++-2s', 'euler'] as const)('goes with %s', async (sampler) => {
    const { latents } = await pipeline.generate({ ...own, steps: 4, sampler, mask: half });
    const { latents: free } = await pipeline.generate({ ...own, steps: 4, sampler, strength: 1 });
    latents.forEach((value, i) => {
      if (!isNew(i)) expect(value).toBe(picture[i]);
    });
    expect(latents.filter((_, i) => isNew(i))).not.toEqual(free.filter((_, i) => isNew(i)));
  });

  it('is grey levels, white where it marks, as well, and cut at a half', async () => {
    const levels = Uint8Array.from(half, (value) => (value === 1 ? 128 : 127));
    const mask = new ImageBatch(levels, [1, 1, 16, 16]);
    const expected = await pipeline.generate({ ...own, mask: half });
    expect((await pipeline.generate({ ...own, mask })).latents).toEqual(expected.latents);
    const edge = half.map((value) => (value === 1 ? 0.5 : 0.49));
    expect((await pipeline.generate({ ...own, mask: edge })).latents).toEqual(expected.latents);
  });

  it('is one for all images, or one each, whatever the batch', async () => {
    const other = half.map((value) => 1 - value);
    const masks = Float32Array.from([...half, ...other]);
    const both = await pipeline.generate({ ...own, count: 2, mask: masks, batch: 1 });
    const second = await pipeline.generate({ ...own, first: 1, mask: other });
    expect(both.latents.subarray(64)).toEqual(second.latents);
    expect((await pipeline.generate({ ...own, count: 2, mask: masks, batch: 2 })).latents).toEqual(both.latents);
    const shared = await pipeline.generate({ ...own, count: 2, mask: half });
    expect(shared.latents.subarray(64)).not.toEqual(second.latents);
  });

  it('makes strength 1 the default, which begins with noise alone', async () => {
    const whole = half.map(() => 1);
    const { latents } = await pipeline.generate({ ...own, mask: whole });
    const { image: _, ...noise } = own;
    expect(latents).toEqual((await pipeline.generate(noise)).latents);
    const weaker = await pipeline.generate({ ...own, mask: whole, strength: 0.7 });
    expect(weaker.latents).toEqual((await pipeline.generate({ ...own, strength: 0.7 })).latents);
  });

  it('is read at the call, and streamed', async () => {
    const mask = half.slice();
    const expected = await pipeline.generate({ ...own, mask });
    const run = pipeline.generate({ ...own, mask });
    mask.fill(0);
    expect((await run).latents).toEqual(expected.latents);
    for await (const { latents } of pipeline.stream({ ...own, mask: half })) expect(latents).toEqual(expected.latents);
  });

  it.each<[string, Partial<GenerateOptions>, string]>([
    ['without a picture', { image: undefined, mask: half }, 'mask is for image, which is missing'],
    ['of other sides', { mask: half.slice(1) }, 'mask has 255 values, it has to have 256 for all images'],
    ['that is no number', { mask: half.map(() => NaN) }, 'mask is NaN at element 0'],
    ['with a sampler whose predictor runs ahead', { mask: half, sampler: 'unipc' }, 'constrain does not go with'],
    ['of colours', { mask: new ImageBatch(new Float32Array(768), [1, 3, 16, 16]) }, 'the masks are [1, 3, 16, 16]'],
  ])('%s is refused', async (_, options, message) => {
    await expect(pipeline.generate({ ...own, ...options })).rejects.toThrow(message);
  });
});

describe('a network that fills parts of pictures', () => {
  it('needs a picture and a mask', async () => {
    await using pipeline = await TextToImage.load(join(latentFixtures, 'sd1-inpaint'), { device: 'cpu' });
    const { factor } = pipeline.vae;
    const side = 8 * factor;
    const own = { prompt: 'a cat', steps: 2, height: side, width: side, output: 'latents' } as const;
    const mask = new Float32Array(side * side);
    const message = 'the network fills parts of pictures: give image';
    await expect(pipeline.generate(own)).rejects.toThrow(message);
    const image = new ImageBatch(new Float32Array(3 * side * side), [1, 3, side, side]);
    await expect(pipeline.generate({ ...own, image })).rejects.toThrow(message);
    await expect(pipeline.generate({ ...own, image: new Float32Array(256), mask })).rejects.toThrow(message);
    const encode = vi.spyOn(pipeline.vae, 'encode');
    const none = await pipeline.generate({ ...own, image, mask });
    // What begins with noise alone needs what is kept, not the whole picture.
    expect(encode).toHaveBeenCalledTimes(1);
    await pipeline.generate({ ...own, image, mask, strength: 0.5 });
    expect(encode).toHaveBeenCalledTimes(3);
    const all = await pipeline.generate({ ...own, image, mask: mask.map(() => 1) });
    expect(all.latents).not.toEqual(none.latents);
    const one = await pipeline.generate({ ...own, count: 2, image, mask, batch: 1 });
    expect(one.latents.subarray(0, 256)).toEqual(none.latents);
  });
});
