// Text to image against whole runs of the public library (test/fixtures/latent), and what pipelines refuse.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Device, TextToImage, type GenerateOptions } from '../../lib/index.js';
import { readPipelineFolder } from '../../lib/latents/pipeline-folder.js';
import { expectGoldenRun, goldenRuns } from '../support/golden-runs.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';

describe.each(['cpu', 'reference'])('a run on %s', (device) => {
  it.each(goldenRuns)('of $model by $name has the images of the library', async (run) => {
    await expectGoldenRun(run, { device });
  });
});

describe('a pipeline', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
  });
  afterAll(() => pipeline.close());
  const small = { prompt: 'a cat', steps: 3, height: 16, width: 16, output: 'latents' } as const;

  it('draws the images of a seed, and of another seed others', async () => {
    const first = await pipeline.generate({ ...small, seed: 1 });
    expect((await pipeline.generate({ ...small, seed: 1 })).latents).toEqual(first.latents);
    expect((await pipeline.generate({ ...small, seed: 2 })).latents).not.toEqual(first.latents);
    expect(first.images).toBeNull();
  });

  it('draws an image of several as it draws it alone', async () => {
    const prompts = ['a cat', 'an oil painting of 3 ships', 'a photo'];
    const all = await pipeline.generate({ ...small, prompt: prompts });
    const one = all.latents.length / 3;
    const first = await pipeline.generate({ ...small, prompt: prompts[0]! });
    expect(first.latents).toEqual(all.latents.subarray(0, one));
  });

  it('gives every image its own prompt, where some are equal', async () => {
    const one = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
    const init = Float32Array.from([one, one, one].flatMap((each) => [...each]));
    const { latents } = await pipeline.generate({ ...small, prompt: ['a cat', 'a dog', 'a cat'], init });
    expect(latents.subarray(128)).toEqual(latents.subarray(0, 64));
    expect(latents.subarray(64, 128)).not.toEqual(latents.subarray(0, 64));
  });

  it('takes the prompt alone for a guidance of 1 and less', async () => {
    const negativePrompt = 'blurry';
    const off = await pipeline.generate({ ...small, guidance: 1, negativePrompt });
    expect((await pipeline.generate({ ...small, guidance: 0 })).latents).toEqual(off.latents);
    const on = await pipeline.generate({ ...small, guidance: 1.0001, negativePrompt });
    expect(on.latents).not.toEqual(off.latents);
    expect(difference(on.latents, off.latents)).toBeLessThan(1e-3);
  });

  it('tells which prompts are longer than the encoder reads, negative ones too', async () => {
    const long = 'ship '.repeat(200);
    const { truncated } = await pipeline.generate({ ...small, prompt: ['a cat', long] });
    expect(truncated).toEqual([false, true]);
    const negative = await pipeline.generate({ ...small, prompt: ['a cat', 'a dog'], negativePrompt: [long, ''] });
    expect(negative.truncated).toEqual([true, false]);
  });

  it('has the defaults of its class', async () => {
    let total = 0;
    const onProgress = (_: number, all: number): void => {
      total = all;
    };
    const { images } = await pipeline.generate({ prompt: 'a cat', onProgress, seed: 3 });
    expect(images!.shape).toEqual([1, 3, 32, 32]);
    const given = { prompt: 'a cat', steps: 50, guidance: 7.5, height: 32, width: 32, seed: 3, negativePrompt: '' };
    expect(images!.data).toEqual((await pipeline.generate(given)).images!.data);
    // PNDM evaluates once more than it has steps.
    expect(total).toBe(51);
  });

  it('has public pieces that make the same prediction', async () => {
    const { hidden, pooled } = await pipeline.encodePrompt('a cat');
    expect(pooled).toBeNull();
    expect(pipeline.tokenize('a cat').padded.length).toBe(77);
    const out = await pipeline.unet.forward(new Float32Array(4 * 16), 500, { height: 4, width: 4, context: hidden });
    expect(out.length).toBe(4 * 16);
  });

  it('ends when it is aborted', async () => {
    const stop = new AbortController();
    const run = pipeline.generate({
      ...small,
      steps: 50,
      signal: stop.signal,
      onProgress: () => {
        stop.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it.each([
    [{}, 'prompt is'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: 'a', count: 0 }, 'count'],
    [{ prompt: ['a', 'b'], count: 3 }, 'prompt has 2 texts for 3 images'],
    [{ prompt: 'a', count: 2, negativePrompt: ['b'] }, 'negativePrompt has 1 texts for 2 images'],
    [{ prompt: 'a', height: 30 }, 'height is 30, it has to be a multiple of 4'],
    [{ prompt: 'a', height: 16_388 }, 'height is 16388'],
    [{ prompt: 'a', count: 60_000, height: 16_384, width: 16_384 }, 'one call may take'],
    [{ prompt: 'a', output: 'png' }, 'output'],
    [{ prompt: 'a', steps: 2000 }, 'steps'],
    [{ prompt: 'a', sampler: 'best' }, 'best'],
    [{ prompt: 'a', init: new Float32Array(3) }, 'init has 3 elements'],
    [{ prompt: 'a', skippedLayers: 9 }, 'skippedLayers is 9'],
    [{ prompt: 'a', unheard: 1 }, 'unheard'],
    [{ prompt: '\u0000'.repeat(70_000) }, '65536'],
  ])('refuses %j', async (options, message) => {
    await expect(pipeline.generate(options as GenerateOptions)).rejects.toThrow(message);
  });

  it('that is closed refuses more', async () => {
    const closed = await TextToImage.load(join(latentFixtures, 'sd1'), { device: 'cpu' });
    await closed.close();
    await closed.close();
    await expect(closed.generate(small)).rejects.toThrow('closed');
  });
});

it("a device is closed where a pipeline cannot be loaded, unless it is the caller's", async () => {
  await using open = Device.open({ device: 'cpu', threads: 1 });
  const close = vi.spyOn(Device.prototype, 'close');
  try {
    const unfitting = { unet: join(latentFixtures, 'sdxl/unet') };
    for (const [device, times] of [
      ['cpu', 1],
      [open, 0],
    ] as const) {
      close.mockClear();
      const load = TextToImage.load(join(latentFixtures, 'sd1'), { ...unfitting, device });
      await expect(load).rejects.toThrow('cross_attention_dim');
      expect(close).toHaveBeenCalledTimes(times);
    }
  } finally {
    close.mockRestore();
  }
});

describe('the folder of a pipeline', () => {
  const folder = temporaryFolder();
  const place = join(folder, 'pipeline');

  it.each([
    [{ _class_name: 'FluxPipeline' }, 'FluxPipeline'],
    [{ vae: [null, null] }, 'vae'],
    [{ unet: 1 }, 'unet'],
    [{ text_encoder: undefined }, 'text_encoder'],
  ])('is refused with %j', async (edit, message) => {
    await cp(join(latentFixtures, 'sd1'), place, { recursive: true });
    const path = join(place, 'model_index.json');
    await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...edit }));
    await expect(TextToImage.load(place)).rejects.toThrow(message);
  });

  it.each([
    ['sdxl', undefined, true],
    ['sdxl', false, false],
    ['sd1', undefined, false],
    ['sd1', true, false],
  ])('of %s with zeros for no prompt as %s says %s', async (model, force, zerosForNone) => {
    const own = join(folder, 'index');
    await mkdir(own, { recursive: true });
    const index = JSON.parse(await readFile(join(latentFixtures, model, 'model_index.json'), 'utf8')) as object;
    await writeFile(join(own, 'model_index.json'), JSON.stringify({ ...index, force_zeros_for_empty_prompt: force }));
    expect((await readPipelineFolder(own)).zerosForNone).toBe(zerosForNone);
  });

  it.each([
    ['first', [null, null], ['text_encoder_2']],
    ['first', ['transformers', 'CLIPTextModel'], ['text_encoder', 'text_encoder_2']],
    ['control', [null, null], []],
    ['control', ['diffusers', 'ControlNetModel'], ['controlnet']],
  ])('of a refiner with a %s part %j has %j', async (part, listed, expected) => {
    const own = join(folder, 'parts');
    await mkdir(own, { recursive: true });
    const index = JSON.parse(await readFile(join(latentFixtures, 'sdxl-refiner/model_index.json'), 'utf8')) as object;
    const changed =
      part === 'first'
        ? { text_encoder: listed, tokenizer: [listed[0], listed[0] === null ? null : 'CLIPTokenizer'] }
        : { controlnet: listed };
    await writeFile(join(own, 'model_index.json'), JSON.stringify({ ...index, ...changed }));
    const { encoders, controlNets } = await readPipelineFolder(own);
    const found = part === 'first' ? encoders.map(({ encoder }) => encoder) : controlNets;
    expect(found).toEqual(expected.map((name) => join(own, name)));
  });

  it('says by its own file how many steps are taken, and how texts guide, where a call does not', async () => {
    await cp(join(latentFixtures, 'sd1'), place, { recursive: true });
    const file = join(place, 'generation_config.json');
    const defaults = async (json: object): Promise<object> => {
      await writeFile(file, JSON.stringify(json));
      await using pipeline = await TextToImage.load(place, { device: 'cpu' });
      return pipeline.defaults;
    };
    expect(await defaults({})).toEqual({ steps: 50, guidance: 7.5 });
    expect(await defaults({ num_inference_steps: 12, other: 1 })).toEqual({ steps: 12, guidance: 7.5 });
    expect(await defaults({ guidance_scale: 4 })).toEqual({ steps: 50, guidance: 4 });
    await expect(defaults({ num_inference_steps: 0 })).rejects.toThrow('generation_config.json: num_inference_steps');
    await expect(defaults({ guidance_scale: 'much' })).rejects.toThrow('generation_config.json: guidance_scale');
    await rm(file);
  });

  it.each(['unet/config.json', 'vae/config.json', 'scheduler/scheduler_config.json', 'tokenizer/vocab.json'])(
    'is refused without %s',
    async (file) => {
      await cp(join(latentFixtures, 'sd1'), place, { recursive: true });
      await rm(join(place, file));
      await expect(TextToImage.load(place)).rejects.toThrow(file.split('/')[0]!);
    },
  );
});
