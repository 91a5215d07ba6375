// Image to image against whole runs of the public library, and what its options mean.
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ImageBatch, samplers, TextToImage, type GenerateOptions, type PromptOptions } from '../../lib/index.js';
import { expectRun, latentsOf, runsIn } from '../support/golden-runs.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { initialRecord, normals } from '../support/philox.js';

const folder = join(latentFixtures, 'img2img');

describe.each(['cpu', 'reference'])('image to image on %s', (device) => {
  it.each(runsIn(folder))('%s has the images of the library', async (name) => {
    const [model = ''] = name.split('-');
    const [height, width] = model === 'sd1' ? [32, 16] : [24, 16];
    await expectRun({ model, folder, name }, { device }, async (pipeline, expected) => ({
      height,
      width,
      image: await latentsOf(pipeline, expected.image!, expected.posterior_noise!, { height, width }),
      init: expected.start_noise!,
    }));
  });
});

describe('a picture to begin with', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
  });
  afterAll(() => pipeline.close());

  const wave = (count: number, height: number, width: number): ImageBatch =>
    new ImageBatch(
      Float32Array.from({ length: count * 3 * height * width }, (_, i) => Math.sin(i / 7)),
      [count, 3, height, width],
    );
  const own = { prompt: 'a cat', steps: 4, strength: 0.5, sampler: 'ddim', output: 'latents' } as const;

  it('is encoded, and drawn around its means by the stream of its sample', async () => {
    const image = wave(1, 16, 24);
    const stream = (sampleIndex: number, draw: number) =>
      Float32Array.from(normals({ seed: [5, 0], sampleIndex, record: initialRecord, draw }, 4 * 4 * 6));
    const sides = { height: 16, width: 24 };
    const both = [2, 3];
    const latents = await latentsOf(
      pipeline,
      Float32Array.from([...image.data, ...image.data]),
      Float32Array.from(both.flatMap((index) => [...stream(index, 6)])),
      sides,
    );
    const given = await pipeline.generate({
      ...own,
      ...sides,
      count: 2,
      image: latents,
      init: Float32Array.from(both.flatMap((index) => [...stream(index, 0)])),
    });
    // Its sides are those of the images where nothing is said.
    const encoded = await pipeline.generate({ ...own, count: 2, image, seed: 5, first: 2 });
    expect(difference(encoded.latents, given.latents)).toBeLessThan(1e-4);
    const each = await pipeline.generate({ ...own, count: 2, image, seed: [5, 6], first: 2 });
    expect(each.latents.subarray(0, 96)).toEqual(encoded.latents.subarray(0, 96));
    expect(each.latents.subarray(96)).not.toEqual(encoded.latents.subarray(96));
  });

  it('is one for all images, or one each', async () => {
    const two = wave(2, 16, 16);
    const all = await pipeline.generate({ ...own, count: 2, image: two });
    const second = new ImageBatch(two.data.slice(3 * 256), [1, 3, 16, 16]);
    const shared = await pipeline.generate({ ...own, count: 2, image: second });
    expect(shared.latents.subarray(64)).toEqual(all.latents.subarray(64));
    expect(shared.latents.subarray(0, 64)).not.toEqual(all.latents.subarray(0, 64));
  });

  it('with other black and white is the same picture', async () => {
    const image = wave(1, 16, 16);
    const unit = new ImageBatch(
      image.data.map((value) => (value + 1) / 2),
      image.shape,
      [0, 1],
    );
    const [first, second] = [
      await pipeline.generate({ ...own, image }),
      await pipeline.generate({ ...own, image: unit }),
    ];
    expect(difference(second.latents, first.latents)).toBeLessThan(1e-4);
  });

  it('changes more, the larger the strength, whose default is 0.8', async () => {
    const image = new Float32Array(64).fill(2);
    const small = { ...own, steps: 10, height: 16, width: 16, guidance: 1, image };
    const distances: number[] = [];
    for (const strength of [0.1, 0.4, 0.7]) {
      const { latents } = await pipeline.generate({ ...small, strength });
      distances.push(Math.hypot(...latents.map((value, i) => value - image[i]!)));
    }
    expect(distances[0]).toBeLessThan(distances[1]!);
    expect(distances[1]).toBeLessThan(distances[2]!);
    let total = 0;
    const onProgress = (_: number, all: number): void => {
      total = all;
    };
    const standard = await pipeline.generate({ ...small, strength: undefined, onProgress });
    expect(total).toBe(8);
    expect(standard.latents).toEqual((await pipeline.generate({ ...small, strength: 0.8 })).latents);
  });

  it('is seen a little even where all steps are taken', async () => {
    const small = { ...own, height: 16, width: 16, strength: 1 };
    const { latents } = await pipeline.generate({ ...small, image: new Float32Array(64).fill(2) });
    const noise = await pipeline.generate({ ...small, strength: undefined });
    expect(latents).not.toEqual(noise.latents);
    expect(difference(latents, noise.latents)).toBeLessThan(0.5);
  });

  it('can be streamed', async () => {
    const image = wave(1, 16, 16);
    const { latents } = await pipeline.generate({ ...own, count: 2, image });
    const drawn: number[] = [];
    for await (const one of pipeline.stream({ ...own, count: 2, image, batch: 1 })) drawn.push(...one.latents);
    expect(Float32Array.from(drawn)).toEqual(latents);
  });

  it('is read at the call', async () => {
    const image = wave(1, 16, 16);
    const before = await pipeline.generate({ ...own, image });
    const run = pipeline.generate({ ...own, image });
    image.data.fill(0);
    expect((await run).latents).toEqual(before.latents);
  });

  it('leaves no more weights in memory than the pipeline keeps', async () => {
    await using sparing = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu', keep: 'unet' });
    const released: string[] = [];
    const release = sparing.vae.release.bind(sparing.vae);
    sparing.vae.release = async () => {
      released.push('vae');
      await release();
    };
    const { latents } = await sparing.generate({ ...own, image: wave(1, 16, 16) });
    expect(released).toEqual(['vae']);
    expect(latents).toEqual((await pipeline.generate({ ...own, image: wave(1, 16, 16) })).latents);
  });

  const latents = new Float32Array(64);
  it.each<[string, Partial<GenerateOptions>, string]>([
    ['a strength alone', { strength: 0.5, image: undefined }, 'strength is for image, which is missing'],
    ['no strength', { strength: 0 }, 'strength is 0, it has to be a number above 0, at most 1'],
    ['too much of it', { strength: 1.1 }, 'strength is 1.1'],
    ['too little of it', { strength: 0.2 }, 'strength 0.2 of 4 steps leaves none'],
    ['too few latents', { image: latents.slice(1) }, 'image has 63 values, it has to have 64 for all images'],
    ['latents of another number', { image: new Float32Array(128), count: 3 }, 'image has 128 values'],
    ['latents that are no numbers', { image: latents.map(() => NaN) }, 'image is NaN at element 0'],
    ['grey levels', { image: new ImageBatch(new Float32Array(256), [1, 1, 16, 16]) }, 'pictures are [1, 1, 16, 16]'],
    ['another width', { image: new ImageBatch(new Float32Array(960), [1, 3, 16, 20]) }, 'pictures are [1, 3, 16, 20]'],
    ['a path', { image: 'cat.png' as unknown as ImageBatch }, 'image is'],
    ['too little noise', { init: new Float32Array(3) }, 'init has 3 elements'],
    ['a sampler without fixed steps', { sampler: 'full-ddpm' }, 'it chooses its steps while it runs'],
  ])('is refused with %s', async (_, options, message) => {
    const call = { ...own, height: 16, width: 16, image: latents, ...options };
    await expect(pipeline.generate(call)).rejects.toThrow(message);
  });

  it('is for no program, which says itself what it begins with', async () => {
    const program = samplers.ddim(pipeline.schedule, { steps: 2, clip: 'none' });
    const call = { prompt: 'a cat', image: latents, height: 16, width: 16 } as PromptOptions;
    await expect(pipeline.run(program, call)).rejects.toThrow("run has no option 'image'");
  });

  it('of other sides than a latent has is refused by its side', async () => {
    await expect(pipeline.generate({ ...own, image: wave(1, 16, 18) })).rejects.toThrow('width is 18');
  });
});
