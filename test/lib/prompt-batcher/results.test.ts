// What requests of a batcher of prompts draw: the images that each has alone, whoever shares its batch.
import { cp, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { PromptBatcher } from '../../../lib/index.js';
import {
  ImageBatch,
  TextToImage,
  type BatchEvent,
  type Generated,
  type GenerateOptions,
  type PromptRequest,
} from '../../../lib/index.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const lora = (name: string): string => join(model, 'lora', `${name}.safetensors`);
const small = { steps: 3, height: 16, width: 16 } as const;

let pipeline: TextToImage;
let batcher: PromptBatcher;
beforeAll(async () => {
  pipeline = await TextToImage.load(model, { device: 'cpu', preview: join(latentFixtures, 'taesd') });
  batcher = await pipeline.batcher();
});
afterAll(() => pipeline.close());

const contents = ({ images, latents, truncated, tile }: Generated): object => ({
  images: images && { values: images.data, shape: images.shape, range: images.range },
  latents,
  truncated,
  tile,
});

/** Draws requests together, and requires what the pipeline draws of each alone. */
async function expectAlone(requests: readonly GenerateOptions[]): Promise<Generated[]> {
  const together = await Promise.all(requests.map((request) => batcher.generate(request as PromptRequest)));
  for (const [i, request] of requests.entries()) {
    expect(contents(together[i]!), `request ${i}`).toEqual(contents(await pipeline.generate(request)));
  }
  return together;
}

const picture = new ImageBatch(
  Float32Array.from({ length: 3 * 256 }, (_, i) => Math.sin(i / 9)),
  [1, 3, 16, 16],
  [-1, 1],
);
const half = Float32Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? 1 : 0));

describe('requests of one batch', () => {
  it('have the images that each has alone, whatever their texts, steps, samplers and weights are', async () => {
    const before = batcher.stats();
    const requests: GenerateOptions[] = [
      { ...small, prompt: 'a cat', seed: 1 },
      { ...small, prompt: 'a dog', seed: 2, steps: 5, sampler: 'ddim' },
      { ...small, prompt: 'a cat', seed: 3, sampler: 'unipc', guidance: 1 },
      {
        ...small,
        prompt: ['a bird', 'a fish'],
        seed: [7, 8n],
        negativePrompt: ['blurry', 'a cat'],
        guidance: [3, 1.5],
      },
      { ...small, prompt: 'a house', seed: 4, first: 3, guidanceRescale: 0.7, skippedLayers: 1 },
      { ...small, prompt: 'a cat', negativePrompt: 'a dog', seed: 5, output: 'latents', sampler: 'dpm-solver++-2m' },
    ];
    await expectAlone(requests);
    const { steps, rows, prompted, finished } = batcher.stats();
    expect(finished - before.finished).toBe(6);
    // Alone they would have taken 3 + 5 + 3 + 2 x 3 + 3 + 3 steps and more.
    expect(rows - before.rows).toBeGreaterThanOrEqual(23);
    expect(steps - before.steps).toBeLessThan(rows - before.rows);
    expect(prompted).toBe(0);
  });

  it('take texts of several parts beside those of one', async () => {
    const long = Array.from({ length: 100 }, () => 'cat').join(' ');
    const [cut, whole] = await expectAlone([
      { ...small, prompt: long },
      { ...small, prompt: long, longPrompts: 'chunks' },
      { ...small, prompt: 'a cat' },
    ]);
    expect(cut!.truncated).toEqual([true]);
    expect(whole!.truncated).toEqual([false]);
    expect(whole!.latents).not.toEqual(cut!.latents);
  });

  it('begin with pictures, keep what a mask says, and with their own noise', async () => {
    const init = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
    const noise = Float32Array.from({ length: 64 }, (_, i) => Math.sin(3 * i));
    const begun = { ...small, steps: 4, sampler: 'ddim' } as const;
    await expectAlone([
      { ...begun, prompt: 'a cat', image: picture, strength: 0.5 },
      { ...begun, prompt: 'a cat', image: picture, mask: half, seed: 2 },
      { ...begun, prompt: 'a cat', image: picture, mask: half, seed: 2, strength: 0.5 },
      { ...begun, prompt: 'a dog', init },
      { ...small, prompt: 'a dog', init, noise: [noise, noise, noise], sampler: 'ddpm' },
      { ...begun, prompt: 'a dog', denoisingEnd: 0.5, output: 'latents' },
      { ...begun, prompt: 'a dog', image: init, denoisingStart: 0.5 },
    ]);
  });

  it('take their own size, in a batch of that size', async () => {
    await expectAlone([
      { ...small, prompt: 'a cat' },
      { ...small, prompt: 'a cat', height: 32 },
      { ...small, prompt: 'a cat', width: 24 },
      { ...small, prompt: 'a cat', width: 24, tile: 4 },
    ]);
    expect(batcher.stats().batches).toBeGreaterThanOrEqual(3);
  });

  it("take a sampler's own options", async () => {
    const own = await batcher.generate({ ...small, prompt: 'a cat', sampler: 'ddim', eta: 0.5, output: 'latents' });
    expect(own.latents).toEqual(
      (
        await pipeline.run(pipeline.program({ sampler: 'ddim', eta: 0.5, steps: 3 }), {
          ...{ prompt: 'a cat', height: 16, width: 16, output: 'latents' },
        })
      ).latents,
    );
    const plain = await batcher.generate({ ...small, prompt: 'a cat', sampler: 'ddim', output: 'latents' });
    expect(plain.latents).not.toEqual(own.latents);
    const { steps: _, ...size } = small;
    const spaced = await batcher.generate({
      ...{ ...size, prompt: 'a cat', output: 'latents' },
      sampler: 'ddim',
      timesteps: [801, 401, 1],
    });
    expect(spaced.latents).not.toEqual(plain.latents);
  });

  it('choose their steps while they run, beside it', async () => {
    await expectAlone([{ prompt: 'a cat', height: 16, width: 16, sampler: 'dpm-solver-adaptive' }]);
  });

  it('are what they were at the call', async () => {
    const init = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
    const seeds = [5];
    const prompts = ['a cat'];
    const given = { ...small, prompt: prompts, seed: seeds, init, output: 'latents' } as const;
    const expected = await pipeline.generate(given);
    const drawn = batcher.generate(given);
    init.fill(9);
    seeds[0] = 1;
    prompts[0] = 'a dog';
    expect((await drawn).latents).toEqual(expected.latents);
  });
});

describe('a network that fills parts of pictures', () => {
  it('has in a batch the images that each has alone', async () => {
    await using own = await TextToImage.load(join(latentFixtures, 'sd1-inpaint'), { device: 'cpu' });
    // A busy machine may measure that one row is the best.
    await using batch = await own.batcher({ rows: 2 });
    const other = new ImageBatch(
      picture.data.map((value) => -value),
      [1, 3, 16, 16],
      [-1, 1],
    );
    // Long enough that the second has come before the first is done, on a busy machine, too.
    const requests = [
      { ...small, steps: 150, prompt: 'a cat', image: picture, mask: half, seed: 1 },
      { ...small, steps: 100, prompt: 'a dog', image: other, mask: half.map((value) => 1 - value), seed: 2 },
    ];
    const together = await Promise.all(requests.map((request) => batch.generate(request)));
    for (const [i, request] of requests.entries()) {
      expect(contents(together[i]!)).toEqual(contents(await own.generate(request)));
    }
    expect(batch.stats().rows).toBe(250);
    expect(batch.stats().steps).toBeLessThan(250);
  });
});

describe('the analytic variance of a pipeline', () => {
  it('is that of its requests', async () => {
    await using emoji = await TextToImage.load('emoji', { device: 'cpu' });
    await using batch = await emoji.batcher({ rows: 2 });
    const request = { prompt: 'a blue rocket', sampler: 'analytic-ddim', steps: 3, seed: 1 } as const;
    const [drawn, plain] = await Promise.all([
      batch.generate(request),
      batch.generate({ ...request, sampler: 'ddim' }),
    ]);
    expect(contents(drawn)).toEqual(contents(await emoji.generate(request)));
    expect(contents(plain)).toEqual(contents(await emoji.generate({ ...request, sampler: 'ddim' })));
  });
});

describe('additions of a request', () => {
  const given = { ...small, prompt: 'a cat', seed: 3, output: 'latents' } as const;
  const drawn = async (loras?: PromptRequest['loras']): Promise<Float32Array> =>
    (await batcher.generate({ ...given, ...(loras && { loras }) })).latents;

  it('are those of its images alone', async () => {
    const base = await drawn();
    const expected = async (loras: { path: string; scale?: number }[]): Promise<Float32Array> => {
      await using other = await TextToImage.load(model, { device: 'cpu', loras });
      return (await other.generate(given)).latents;
    };
    const [a, b] = [[{ path: lora('kohya') }], [{ path: lora('kohya'), scale: 0.5 }]];
    const [own, none, weak, again] = await Promise.all([drawn(a), drawn(), drawn(b), drawn(a)]);
    expect(own).toEqual(await expected(a));
    expect(weak).toEqual(await expected(b));
    expect(again).toEqual(own);
    expect(none).toEqual(base);
    expect(own).not.toEqual(base);
    expect(weak).not.toEqual(own);
  });

  it('of the pipeline are those of requests that say nothing, and an empty list is none', async () => {
    await using other = await TextToImage.load(model, { device: 'cpu', loras: [{ path: lora('kohya') }] });
    await using batch = await other.batcher({ batches: 2 });
    const latents = async (request: PromptRequest): Promise<Float32Array> => (await batch.generate(request)).latents;
    const [base, own] = [await drawn(), await drawn([{ path: lora('kohya') }])];
    expect(await latents(given)).toEqual(own);
    expect(await latents({ ...given, loras: [] })).toEqual(base);
    await other.setLoras([]);
    expect(await latents(given)).toEqual(base);
  });

  it('are read anew once another file has their name', async () => {
    const path = join(folder, 'lora.safetensors');
    await cp(lora('kohya'), path);
    const first = await drawn([{ path }]);
    await cp(lora('peft'), path);
    await utimes(path, 1, 1);
    const second = await drawn([{ path }]);
    expect(second).not.toEqual(first);
    expect(second).toEqual(await drawn([{ path: lora('peft') }]));
  });
});

describe('a stream', () => {
  const events = async (request: PromptRequest): Promise<BatchEvent[]> => {
    const all: BatchEvent[] = [];
    for await (const event of batcher.stream(request)) all.push(event);
    return all;
  };

  it('tells of its images as they come', async () => {
    const request = { ...small, prompt: ['a cat', 'a dog'], seed: 4, guidance: [1, 3] };
    const all = await events({ ...request, previewEvery: 2 });
    const { images } = await pipeline.generate(request);
    expect(all[0]!.type).toBe('accepted');
    const shown = all.flatMap((event) => (event.type === 'image' ? [event] : []));
    expect(shown.map(({ sample }) => sample).sort()).toEqual([0, 1]);
    for (const { sample, image } of shown) expect(image.data).toEqual(images!.slice(sample, sample + 1).data);
    const previews = all.flatMap((event) => (event.type === 'preview' ? [event] : []));
    expect(previews.map(({ sample, record }) => [sample, record]).sort()).toEqual([
      [0, 2],
      [0, 4],
      [1, 2],
      [1, 4],
    ]);
    for (const { image } of previews) expect(image.shape).toEqual([1, 3, 32, 32]);
    const order = (type: string, sample: number): number =>
      all.findIndex((event) => event.type === type && 'sample' in event && event.sample === sample);
    for (const sample of [0, 1]) expect(order('preview', sample)).toBeLessThan(order('image', sample));
    // PNDM takes four evaluations for three steps; a guided sample takes two each time.
    expect(all.at(-1)).toMatchObject({ type: 'done', truncated: [false, false], evaluations: 4 + 8 });
  });

  it('shows latents where these are wanted, and which texts were cut', async () => {
    const long = Array.from({ length: 100 }, () => 'cat').join(' ');
    const request = { ...small, prompt: ['a cat', long], output: 'latents', guidance: 1 } as const;
    const all = await events(request);
    const { latents } = await pipeline.generate(request);
    for (const event of all) {
      if (event.type === 'image')
        expect(event.image.data).toEqual(latents.slice(64 * event.sample, 64 * event.sample + 64));
    }
    expect(all.at(-1)).toMatchObject({ truncated: [false, true] });
  });

  it('needs a small autoencoder for previews, and few images', async () => {
    expect(() => batcher.stream({ ...small, prompt: 'a cat', count: 5, previewEvery: 1 })).toThrow(
      'previews are for at most 4 samples, count is 5',
    );
    expect(() => batcher.stream({ ...small, prompt: 'a cat', previewEvery: 0 })).toThrow(/previewEvery is 0/);
    await using other = await TextToImage.load(model, { device: 'cpu' });
    await using batch = await other.batcher();
    expect(() => batch.stream({ ...small, prompt: 'a cat', previewEvery: 1 })).toThrow(/needs a small autoencoder/);
  });

  it('ends its request when it is left', async () => {
    const before = batcher.stats().cancelled;
    for await (const event of batcher.stream({ ...small, prompt: 'a cat', steps: 500 })) {
      if (event.type === 'progress') break;
    }
    await expect.poll(() => batcher.stats().unfinished).toBe(0);
    expect(batcher.stats().cancelled).toBe(before + 1);
    expect(batcher.stats().prompted).toBe(0);
  });
});
