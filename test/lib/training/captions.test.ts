import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import {
  Autoencoder,
  ClipTokenizer,
  TextToImage,
  Trainer,
  type OpenedImages,
  type TrainerOptions,
} from '../../../lib/index.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { encodedImages } from '../../../lib/training/captions/encoded-images.js';
import { learnedTokenizer, tokenizedCaptions } from '../../../lib/training/captions/tokenized-captions.js';
import { failure } from '../../support/failure.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { tinyAutoencoder, tinyImages, tinyNetwork, tinyPipeline, tinyRun } from '../../support/training-data.js';
import { trained } from '../../support/training-runs.js';

const folder = temporaryFolder();
let places = 0;
const newFolder = (): string => join(folder, `run-${places++}`);

const data: OpenedImages = { ...tinyImages(6), labels: null };
const captions = ['a red cat', 'a blue dog', ['a red dog', 'a dog that is red'], 'blue', 'cats', 'a cat on red'];

let latents: string;
beforeAll(async () => {
  latents = newFolder();
  await trained(tinyRun({ data, network: tinyAutoencoder, out: latents, steps: 3 }));
});

const run = (changed: Partial<TrainerOptions> = {}): TrainerOptions =>
  tinyRun({ data, captions, latents, network: tinyPipeline, steps: 6, batch: 2, ...changed });

const jsonOf = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

describe('a run that learns captions', () => {
  it('is a folder of a pipeline, which draws what texts say', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(run({ out }));
    expect([trainer.isTextToImage, trainer.isAutoencoder, trainer.classes]).toEqual([true, false, 0]);
    expect(trainer.sampleShape).toEqual([2, 4, 4]);
    expect(trainer.captionExamples).toEqual(captions.map((each) => (typeof each === 'string' ? each : each[0])));
    await trainer.run();
    const names = (await readdir(out, { recursive: true })).filter((name) => !/^(\.|checkpoints)/.test(name));
    expect(names.toSorted()).toEqual([
      'metrics.jsonl',
      'model_index.json',
      'run.json',
      'scheduler',
      'scheduler/scheduler_config.json',
      'text_encoder',
      'text_encoder/config.json',
      'text_encoder/model.safetensors',
      'tokenizer',
      'tokenizer/merges.txt',
      'tokenizer/special_tokens_map.json',
      'tokenizer/tokenizer_config.json',
      'tokenizer/vocab.json',
      'unet',
      'unet/config.json',
      'unet/diffusion_pytorch_model.safetensors',
      'vae',
      'vae/config.json',
      'vae/diffusion_pytorch_model.safetensors',
    ]);
    await using pipeline = await trainer.pipeline();
    const draw = (prompt: string): Promise<{ images: { data: Float32Array } | null }> =>
      pipeline.generate({ prompt, steps: 2, seed: 1, guidance: 1 });
    const [red, blue, again] = [await draw('a red cat'), await draw('blue'), await draw('a red cat')];
    expect(red.images!.data).toEqual(again.images!.data);
    expect(red.images!.data).not.toEqual(blue.images!.data);
  });

  it('brings latents to a mean square of 1 where the autoencoder does not say how', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(run({ out, steps: 1 }));
    await trainer.run();
    const { scaling_factor: scale } = await jsonOf(join(out, 'vae/config.json'));
    await using autoencoder = await Autoencoder.load(latents, { device: 'cpu' });
    const values = Float32Array.from(data.images, (level) => (2 * level) / 255 - 1);
    const { mean } = await autoencoder.encode(values, { height: 8, width: 8 });
    const square = mean.reduce((sum, value) => sum + value * value, 0) / mean.length;
    expect(Number(scale) * Math.sqrt(square)).toBeCloseTo(1, 4);
    expect(await jsonOf(join(latents, 'config.json'))).not.toHaveProperty('scaling_factor');

    // One that says so is taken at its word.
    const scaled = join(newFolder(), 'vae');
    await mkdir(scaled, { recursive: true });
    await writeFile(
      join(scaled, 'config.json'),
      JSON.stringify({ ...tinyAutoencoder, scaling_factor: 3 * Number(scale) }),
    );
    const weights = 'diffusion_pytorch_model.safetensors';
    await writeFile(join(scaled, weights), await readFile(join(latents, weights)));
    const loss = async (from: string): Promise<number> => {
      await using other = await Trainer.open(run({ latents: from, prediction: 'x0', rate: 0, steps: 1 }));
      return (await other.step()).loss;
    };
    const [plain, larger] = [await loss(latents), await loss(scaled)];
    // A network that has learned nothing misses latents by about themselves.
    expect(larger).toBeGreaterThan(4 * plain);
  });

  it('learns the colours that texts name', { timeout: 60_000 }, async () => {
    const colours = { red: [1, -1, -1], green: [-1, 1, -1], blue: [-1, -1, 1] };
    const plain = Object.values(colours).flatMap((colour) => colour.flatMap((value) => Array<number>(64).fill(value)));
    const few: OpenedImages = {
      images: Float32Array.from(plain),
      shape: [3, 3, 8, 8],
      labels: null,
      fingerprint: '',
      broken: 0,
    };
    const own = newFolder();
    await trained(tinyRun({ data: few, network: tinyAutoencoder, out: own, steps: 150, batch: 3, rate: 1e-2 }));
    const out = newFolder();
    const names = Object.keys(colours);
    await using trainer = await Trainer.open(
      run({ data: few, captions: names, latents: own, out, steps: 300, batch: 6, rate: 1e-2, checkpointEvery: 300 }),
    );
    await trainer.run();
    await using pipeline = await trainer.pipeline();
    for (const [name, colour] of Object.entries(colours)) {
      const { images } = await pipeline.generate({ prompt: name, steps: 10, seed: 5, guidance: 3 });
      const means = [0, 1, 2].map((c) => images!.data.subarray(64 * c, 64 * c + 64).reduce((a, b) => a + b, 0) / 64);
      expect(means.indexOf(Math.max(...means)), `${name}: ${means.join()}`).toBe(colour.indexOf(1));
    }
  });

  it('goes on to the bit', async () => {
    const [whole, parts] = [newFolder(), newFolder()];
    const all = await trained(run({ out: whole }));
    {
      await using begun = await Trainer.open(run({ out: parts }));
      for (let step = 0; step < 3; ++step) await begun.step();
    }
    expect(await trained(run({ out: parts }))).toEqual(all);
    for (const changed of [
      { captions: captions.toReversed() },
      { captionDropout: 0.2 },
      { data: { ...tinyImages(6, [3, 8, 8]), images: data.images.map((level) => 255 - level), labels: null } },
    ]) {
      const error = await failure(Trainer.open(run({ out: parts, ...changed })));
      expect(error.message).toMatch(/^(data|captionDropout) is /);
    }
  });

  it('goes on from the folder of a pipeline, with its tokenizer and its autoencoder', async () => {
    const out = newFolder();
    const before = await trained(run({ out }), 'average');
    const further = newFolder();
    const options = { network: out, latents: undefined, out: further, rate: 0, averageDecay: 0, steps: 1 };
    expect(await trained(run(options), 'average')).toEqual(before);
    for (const name of ['tokenizer/merges.txt', 'vae/config.json', 'unet/config.json', 'text_encoder/config.json']) {
      expect(await readFile(join(further, name), 'utf8'), name).toBe(await readFile(join(out, name), 'utf8'));
    }
    await using pipeline = await TextToImage.load(further, { device: 'cpu' });
    expect((await pipeline.generate({ prompt: 'a cat', steps: 1 })).images!.shape).toEqual([1, 3, 8, 8]);
  });

  it('drops captions as often as it is told, by a tenth if nobody does', async () => {
    const other = captions.map((_, i) => `other ${i}`);
    const withTokens = (changed: Partial<TrainerOptions>) =>
      // The same vocabulary whatever the texts: bytes alone.
      trained(run({ network: ofBytes, steps: 4, ...changed }));
    const ofBytes = { ...tinyPipeline, text_encoder: { ...tinyPipeline.text_encoder, vocab_size: 514 } };
    const all = await withTokens({ captionDropout: 1 });
    expect(await withTokens({ captionDropout: 1, captions: other })).toEqual(all);
    const none = await withTokens({ captionDropout: 0 });
    expect(none).not.toEqual(all);
    expect(await withTokens({ captionDropout: 0, captions: other })).not.toEqual(none);
    expect(await withTokens({ captionDropout: 0.1 })).toEqual(await withTokens({}));
  });

  it('learns the velocity by a scheduler that says so, or what it is told', async () => {
    const out = newFolder();
    await trained(run({ out, steps: 1 }));
    const path = 'scheduler/scheduler_config.json';
    expect(await jsonOf(join(out, path))).toMatchObject({ prediction_type: 'v_prediction', clip_sample: false });
    const noise = newFolder();
    await trained(run({ out: noise, steps: 1, prediction: 'epsilon' }));
    expect(await jsonOf(join(noise, path))).toMatchObject({ prediction_type: 'epsilon' });
    const given = newFolder();
    await trained(run({ out: given, steps: 1, schedule: packagePath('test/fixtures/latent/sd1/scheduler') }));
    expect(await jsonOf(join(given, path))).toMatchObject({ _class_name: 'PNDMScheduler' });
    const own = newFolder();
    const scheduler = { _class_name: 'DDPMScheduler', num_train_timesteps: 10 };
    await trained(run({ out: own, steps: 1, network: { ...tinyPipeline, scheduler } }));
    expect(await jsonOf(join(own, path))).toEqual(scheduler);
    expect((await jsonOf(join(own, 'model_index.json'))).scheduler).toEqual(['diffusers', 'DDPMScheduler']);
  });

  it('has the default networks where none are given', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(run({ network: undefined, out, steps: 1 }));
    await trainer.run();
    const tokenizer = await ClipTokenizer.load(join(out, 'tokenizer'));
    expect([tokenizer.length, tokenizer.vocabulary]).toEqual([
      24,
      (await jsonOf(join(out, 'text_encoder/config.json'))).vocab_size,
    ]);
    const { tensors } = await readSafetensorsHeader(join(out, 'text_encoder/model.safetensors'));
    const table = tensors.get('text_model.embeddings.token_embedding.weight');
    expect(table?.shape).toEqual([tokenizer.vocabulary, 64]);
    expect(await jsonOf(join(out, 'text_encoder/config.json'))).toMatchObject({
      bos_token_id: tokenizer.tokenize('').padded[0],
      eos_token_id: tokenizer.tokenize('').padded[1],
    });
  });

  it('begins with the weights of the authors of CLIP', async () => {
    await using trainer = await Trainer.open(run({ rate: 0, steps: 1 }));
    const weights = await trainer.tensors('parameters');
    const deviation = (name: string): number => {
      const values = weights.get(`text_encoder.text_model.${name}`)!;
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(deviation('embeddings.token_embedding.weight') / 0.02).toBeCloseTo(1, 1);
    expect(deviation('embeddings.position_embedding.weight') / 0.02).toBeGreaterThan(0.6);
    expect(deviation('encoder.layers.0.self_attn.q_proj.weight') / (8 * 2) ** -0.5).toBeGreaterThan(0.7);
    expect(deviation('encoder.layers.0.self_attn.q_proj.weight') / (8 * 2) ** -0.5).toBeLessThan(1.3);
    expect(deviation('encoder.layers.0.self_attn.out_proj.weight') / 8 ** -0.5).toBeGreaterThan(0.7);
    expect(deviation('encoder.layers.0.mlp.fc1.weight') / 16 ** -0.5).toBeGreaterThan(0.7);
    expect(deviation('encoder.layers.0.mlp.fc2.bias')).toBe(0);
    expect(deviation('encoder.layers.0.layer_norm1.weight')).toBe(1);
    expect(deviation('final_layer_norm.bias')).toBe(0);
  });
});

describe('captions of files', () => {
  it('are found by the names of pictures, and by the places of images', async () => {
    const { ImageBatch } = await import('../../../lib/index.js');
    const pictures = newFolder();
    await mkdir(join(pictures, 'more'), { recursive: true });
    const batch = new ImageBatch(data.images, [6, 3, 8, 8]);
    const names = ['b.png', 'c.png', 'more/a.png'];
    for (const [i, name] of names.entries()) await batch.slice(i, i + 1).save(join(pictures, name));
    const file = join(pictures, 'captions.jsonl');
    const texts = captions.slice(0, 3);
    const lines = names.map((name, i) => JSON.stringify({ file_name: name, text: texts[i] }));
    await writeFile(file, lines.toReversed().join('\n'));
    const some = { ...data, images: data.images.slice(0, 3 * 192), shape: [3, 3, 8, 8] as const };
    const expected = await trained(run({ data: some, captions: texts }));
    expect(await trained(run({ data: pictures, captions: file }))).toEqual(expected);
    const byIndex = join(newFolder(), '..', `captions-${places}.jsonl`);
    await writeFile(byIndex, texts.map((text, index) => JSON.stringify({ index, text })).join('\n'));
    expect(await trained(run({ data: some, captions: byIndex }))).toEqual(expected);
    await writeFile(file, lines.slice(1).join('\n'));
    const error = await failure(Trainer.open(run({ data: pictures, captions: file })));
    expect([error.code, error.message]).toEqual(['ERR_DPM_FILE', expect.stringContaining('b.png has no caption')]);
  });
});

describe('what a run learns from', () => {
  it('are the ids of all texts, in the order of the images', () => {
    const texts = [['a red cat', 'a cat'], ['blue'], ['cats', 'a cat', 'red']];
    const { tokenizer } = learnedTokenizer(texts, { size: 600, length: 6 });
    const { tokens, firstTexts, nullTokens } = tokenizedCaptions(texts, tokenizer);
    const ids = (text: string): number[] => [...tokenizer.tokenize(text).padded];
    expect([...tokens]).toEqual(texts.flat().flatMap(ids));
    expect([...firstTexts]).toEqual([0, 2, 3, 6]);
    expect([...nullTokens]).toEqual(ids(''));
  });

  it('are latents of images that are encoded 64 at a time', async () => {
    await using autoencoder = await Autoencoder.load(latents, { device: 'cpu' });
    const many = tinyImages(130);
    const values = Float32Array.from(many.images, (level) => (2 * level) / 255 - 1);
    const { mean } = await autoencoder.encode(values, { height: 8, width: 8 });
    for (const images of [many.images, values]) {
      const counts: number[][] = [];
      const onProgress = (...count: number[]): void => void counts.push(count);
      const found = await encodedImages({ ...many, images }, autoencoder, { onProgress });
      expect(found).toEqual(mean);
      expect(counts).toEqual([
        [64, 130],
        [128, 130],
        [130, 130],
      ]);
    }
  });

  it('is not encoded any further where that is asked', async () => {
    await using autoencoder = await Autoencoder.load(latents, { device: 'cpu' });
    const many = tinyImages(65);
    const before = encodedImages(many, autoencoder, { signal: AbortSignal.abort() });
    expect((await failure(before)).code).toBe('ERR_DPM_ABORTED');
    const controller = new AbortController();
    const counts: number[] = [];
    const onProgress = (done: number): void => {
      counts.push(done);
      controller.abort();
    };
    const between = encodedImages(many, autoencoder, { signal: controller.signal, onProgress });
    expect((await failure(between)).code).toBe('ERR_DPM_ABORTED');
    expect(counts).toEqual([64]);
  });
});

describe('a run that learns captions is refused', () => {
  it.each<[string, Partial<TrainerOptions>, string, RegExp]>([
    ['without an autoencoder', { latents: undefined }, 'ERR_DPM_ARGUMENT', /^captions: give latents/],
    ['with captions of other images', { captions: ['a'] }, 'ERR_DPM_ARGUMENT', /^captions are of 1 images, .* 6$/],
    ['with a number as a text', { captions: ['a', 7] as never }, 'ERR_DPM_ARGUMENT', /^captions\[1\] is 7, .* a text/],
    ['with null as a text', { captions: [null, 'a'] as never }, 'ERR_DPM_ARGUMENT', /^captions\[0\] is null/],
    [
      'with a number among the texts of an image',
      { captions: ['a', ['b', 7]] as never },
      'ERR_DPM_ARGUMENT',
      /^captions\[1\] is \["b",7\]/,
    ],
    ['with no text of an image', { captions: ['a', [], 'b', 'c', 'd', 'e'] }, 'ERR_DPM_ARGUMENT', /^captions\[1\]/],
    [
      'with half a character',
      { captions: ['a', '\ud800', 'b', 'c', 'd', 'e'] },
      'ERR_DPM_ARGUMENT',
      /^captions of image 1: /,
    ],
    ['with latents alone', { captions: undefined }, 'ERR_DPM_ARGUMENT', /^latents is for networks that learn captions/],
    [
      'with dropped captions alone',
      { captions: undefined, latents: undefined, captionDropout: 0.5 },
      'ERR_DPM_ARGUMENT',
      /^captionDropout is for/,
    ],
    ['with a network of another kind', { network: tinyNetwork }, 'ERR_DPM_CONFIG', /unet and text_encoder/],
    ['with a field that is none', { network: { ...tinyPipeline, vae: {} } }, 'ERR_DPM_CONFIG', /it has 'vae'/],
    [
      'with a scheduler that is none',
      { network: { ...tinyPipeline, scheduler: 1 } },
      'ERR_DPM_CONFIG',
      /scheduler has/,
    ],
    ['with a folder of another kind', { network: folder }, 'ERR_DPM_FILE', /model_index\.json/],
    [
      'with states of another width',
      { network: { ...tinyPipeline, unet: { ...tinyPipeline.unet, cross_attention_dim: 16 } } },
      'ERR_DPM_CONFIG',
      /cross_attention_dim .* is 16/,
    ],
    [
      'with latents of other channels',
      { network: { ...tinyPipeline, unet: { ...tinyPipeline.unet, in_channels: 4, out_channels: 4 } } },
      'ERR_DPM_TENSOR_SHAPE',
      /in_channels 4 .* the latents have 2/,
    ],
    [
      'with images that the autoencoder does not divide',
      { data: tinyImages(6, [3, 7, 8]) },
      'ERR_DPM_TENSOR_SHAPE',
      /7 x 8/,
    ],
    ...(
      [
        { classifier: true },
        { autoencoder: true },
        { labelDropout: 0.5 },
        { dropout: 0.5 },
        { cropMargin: 2 },
        { flips: true },
        { skipBroken: true },
        { config: 'x' },
      ] as const
    ).map((changed): [string, Partial<TrainerOptions>, string, RegExp] => [
      `with ${Object.keys(changed).join()}`,
      changed,
      'ERR_DPM_ARGUMENT',
      new RegExp(`^${Object.keys(changed).join()}: networks that learn captions`),
    ]),
  ])('%s', async (_, changed, code, message) => {
    const error = await failure(Trainer.open(run(changed)));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  it('as a model, a classifier or an autoencoder', async () => {
    await using trainer = await Trainer.open(run({ out: newFolder() }));
    expect((await failure(trainer.model())).message).toContain('pipeline()');
    expect((await failure(trainer.classifier())).code).toBe('ERR_DPM_ARGUMENT');
    expect((await failure(trainer.autoencoder())).code).toBe('ERR_DPM_ARGUMENT');
    await using other = await Trainer.open(tinyRun({ out: newFolder() }));
    expect((await failure(other.pipeline())).message).toBe('what learns is no pipeline');
    expect([other.captionExamples, other.truncatedCaptions, other.isTextToImage]).toEqual([[], 0, false]);
  });

  it('before its images are encoded, of which it tells the number otherwise', async () => {
    const told: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void told.push([done, total]);
    const narrow = { ...tinyPipeline, unet: { ...tinyPipeline.unet, cross_attention_dim: 16 } };
    await failure(Trainer.open(run({ network: narrow, onProgress })));
    expect(told).toEqual([]);
    await using trainer = await Trainer.open(run({ onProgress }));
    expect([told, trainer.images]).toEqual([[[6, 6]], 6]);
  });

  it('not for long captions, which are cut off and counted', async () => {
    for (const [text, count] of [
      ['b c d e', 0],
      ['b c d e f', 1],
    ] as const) {
      await using trainer = await Trainer.open(run({ captions: ['a', text, 'c', 'd', 'e', 'f'] }));
      expect(trainer.truncatedCaptions).toBe(count);
    }
  });

  it('not for what its owner does with captions later', async () => {
    const own: string[][] = captions.map((each) => [each].flat());
    const opened = Trainer.open(run({ captions: own, captionDropout: 0 }));
    own.forEach((each) => each.fill('gone'));
    await using trainer = await opened;
    await trainer.run();
    expect(await trainer.tensors('parameters')).toEqual(await trained(run({ captionDropout: 0 })));
  });
});
