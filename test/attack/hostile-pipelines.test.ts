// Folders of text-to-image pipelines, broken in one place: an error that names the file and what is wrong in it, soon and without
// much memory.
import { readFileSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { DpmError } from '../../lib/base/errors.js';
import { readAutoencoder } from '../../lib/checkpoint/pipelines/autoencoder.js';
import { readConditional } from '../../lib/checkpoint/pipelines/conditional.js';
import { readTextEncoder } from '../../lib/checkpoint/pipelines/text-encoder.js';
import { readObject } from '../../lib/checkpoint/read-model.js';
import { ClipTokenizer, NoiseSchedule, samplers, TextToImage } from '../../lib/index.js';
import { readPipelineFolder } from '../../lib/latents/pipeline-folder.js';
import { breakFile, type Edit } from '../support/broken-folder.js';
import { failure } from '../support/failure.js';
import { latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const slowest = 20_000;
const MOST_MEMORY = 300 * 2 ** 20;

/** Copies a pipeline, without what its runs gave. */
async function copyOf(model: string, name: string): Promise<string> {
  const place = join(folder, name);
  await rm(place, { recursive: true, force: true });
  const filter = (path: string): boolean => !path.endsWith('golden');
  await cp(join(latentFixtures, model), place, { recursive: true, filter });
  return place;
}

async function drawn(place: string): Promise<void> {
  await using pipeline = await TextToImage.load(place, { device: 'cpu' });
  const { images } = await pipeline.generate({ prompt: 'a cat', steps: 2, height: 16, width: 16 });
  expect(images!.data.every(Number.isFinite)).toBe(true);
}

interface Case {
  name: string;
  edit: Edit;
}

const { model, cases } = JSON.parse(readFileSync(join(latentFixtures, 'hostile/edits.json'), 'utf8')) as {
  model: string;
  cases: Case[];
};

/** What a message names beside the file, where it is not what the edit changes. */
const named: Record<string, string> = {
  'missing-text-tensor': 'final_layer_norm.weight',
  'unknown-tensor': 'mid_block.attentions.1.proj_in.weight',
  'duplicate-tensor': "'conv_in.bias' twice",
  'header-length-huge': 'header claims',
  'truncated-weights': '300000 bytes',
  'empty-weights': '0 bytes',
  'missing-weights': 'cannot open',
  'index-cut': 'is not JSON',
  'vocabulary-hole': 'the id of',
  'merge-of-nothing': 'line 3',
  betas: 'beta_end',
  // What the configuration asks for is compared with the weights.
  'width-of-context': 'attn2.to_k.weight',
  'in-channels': 'conv_in.weight',
  'latent-channels': 'conv_out.weight',
  'vocabulary-short': 'token_embedding.weight',
};

function nameOf({ name, edit }: Case): string {
  const keys = edit.drop ?? edit.set?.[0]?.[0] ?? edit.delete?.[0] ?? [];
  return named[name] ?? keys[0] ?? 'nothing';
}

describe('a broken folder', () => {
  it('is one of forty', () => {
    expect(cases.length).toBe(40);
  });

  it.each(cases)('with $name is refused by its file and its part', async (each) => {
    const place = await copyOf(model, 'broken');
    breakFile(place, each.edit);
    const [start, before] = [performance.now(), process.memoryUsage.rss()];
    const { message, code } = await failure(drawn(place));
    expect(code).not.toBe('ERR_DPM_INTERNAL');
    expect(message).toContain(join(place, dirname(each.edit.file)));
    expect(message).toContain(nameOf(each));
    expect(performance.now() - start).toBeLessThan(slowest);
    expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_MEMORY);
  });

  it.each([
    ['sd2/text_encoder', 'unet/config.json: cross_attention_dim is 32, it has to be 48'],
    ['sdxl/unet', 'unet/config.json: cross_attention_dim is 80, it has to be 32'],
  ])('with a part of another pipeline, %s, is refused', async (part, message) => {
    const place = await copyOf(model, 'mixed');
    const target = join(place, part.split('/')[1]!);
    await rm(target, { recursive: true });
    await cp(join(latentFixtures, part), target, { recursive: true });
    expect((await failure(TextToImage.load(place))).message).toContain(message);
  });

  it.each([3, 76, 78])('with a tokenizer of %i tokens is refused', async (length) => {
    const place = await copyOf(model, 'tokens');
    breakFile(place, { file: 'tokenizer/tokenizer_config.json', set: [[['model_max_length'], length]] });
    const { message } = await failure(TextToImage.load(place));
    expect(message).toContain(`tokenizer/tokenizer_config.json: model_max_length is ${length}, it has to be 77`);
  });

  it('with more tokens than the text encoder knows is refused', async () => {
    const place = await copyOf(model, 'vocabulary');
    breakFile(place, { file: 'tokenizer/vocab.json', set: [[['one more'], 814]] });
    const { message } = await failure(TextToImage.load(place));
    expect(message).toMatch(/tokenizer\/vocab\.json has 815 tokens, vocab_size of .*text_encoder\/config\.json is 814/);
  });
});

describe('a prompt', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, model), { device: 'cpu' });
    return () => pipeline.close();
  });
  const size = { steps: 2, height: 16, width: 16, output: 'latents' } as const;

  it.each([
    ['nothing', ''],
    ['white space', ' \t\r\n\u00a0\u3000\u2028'],
    ['control characters', '\u0000\u0001\u001b[31m\u007f\u009f\ufeff\u202e'],
    ['what is no character', '\uffff\ufdd0'],
    ['marks without letters', '\u0301\u200d\ufe0f'.repeat(100)],
    ['starts and ends', '<|startoftext|><|endoftext|>'.repeat(100)],
    ['names of properties', '__proto__ constructor toString hasOwnProperty'],
    ['one long word', 'a'.repeat(65_536)],
  ])('of %s is drawn', async (_, prompt) => {
    const { latents } = await pipeline.generate({ prompt, negativePrompt: prompt, ...size });
    expect(latents.every(Number.isFinite)).toBe(true);
  });

  it.each([
    ['the first half of a pair', '\ud83d'],
    ['the second half of a pair', 'a cat \ude00 and a dog'],
    ['a million characters', 'cat '.repeat(250_000)],
  ])('of %s is refused, and so is a negative one', async (_, prompt) => {
    const { code, message } = await failure(pipeline.generate({ prompt, ...size }));
    expect([code, message.length < 200]).toEqual(['ERR_DPM_ARGUMENT', true]);
    const negative = pipeline.generate({ prompt: 'a cat', negativePrompt: prompt, ...size });
    expect((await failure(negative)).message).toBe(message);
  });
});

/** Values that a field does not expect, or not of this size. */
const values: readonly unknown[] = [
  null,
  'x',
  '__proto__',
  -1,
  0,
  1.5,
  64,
  65_536,
  2 ** 31,
  1e308,
  true,
  {},
  [],
  ['x'],
  [1e308],
  [64, 64],
  [[[]]],
  new Array<number>(50_000).fill(1),
];

/** What reads each file, and every field of it. */
const readers: Record<string, (path: string) => unknown> = {
  'model_index.json': (path) => readPipelineFolder(dirname(path)),
  'unet/config.json': (path) => readConditional(dirname(path)),
  'vae/config.json': (path) => readAutoencoder(dirname(path)),
  'text_encoder/config.json': (path) => readTextEncoder(dirname(path)),
  'text_encoder_2/config.json': (path) => readTextEncoder(dirname(path)),
  'tokenizer/tokenizer_config.json': (path) => ClipTokenizer.load(dirname(path)),
  async 'scheduler/scheduler_config.json'(path) {
    const schedule = NoiseSchedule.fromSchedulerConfig(await readObject(path), {}, path);
    return samplers.scheduler(schedule, { steps: 2, clip: 'none' });
  },
};

/** Fields that the files lack. */
const absent: Record<string, string[]> = {
  'scheduler/scheduler_config.json': ['trained_betas', 'prediction_type', 'timestep_spacing', 'rescale_betas_zero_snr'],
};

async function tryField(file: string, path: string, json: Record<string, unknown>, field: string): Promise<void> {
  for (const value of values) {
    writeFileSync(path, JSON.stringify({ ...json, [field]: value }));
    const start = performance.now();
    try {
      await readers[file]!(path);
    } catch (error) {
      if (!(error instanceof DpmError)) throw error;
      expect(error.code).not.toBe('ERR_DPM_INTERNAL');
      expect(error.message).toContain(dirname(path));
    }
    expect(performance.now() - start, `${field} ${String(value).slice(0, 40)}`).toBeLessThan(slowest);
  }
}

describe.each(['sd1', 'sdxl'])('every field of %s', (source) => {
  let place: string;
  beforeAll(async () => {
    place = await copyOf(source, source);
  });

  it.each(Object.keys(readers).filter((file) => file.includes('_2') === (source === 'sdxl') || !file.startsWith('t')))(
    'of %s takes any value, or names itself',
    async (file) => {
      const path = join(place, file);
      const whole = readFileSync(path, 'utf8');
      const json = JSON.parse(whole) as Record<string, unknown>;
      const before = process.memoryUsage.rss();
      for (const field of [...Object.keys(json), ...(absent[file] ?? [])]) await tryField(file, path, json, field);
      writeFileSync(path, whole);
      expect(process.memoryUsage.rss() - before).toBeLessThan(MOST_MEMORY);
    },
  );

  it.each([
    ['unet/config.json', 'layers_per_block', 65],
    ['unet/config.json', 'transformer_layers_per_block', 65_536],
    ['unet/config.json', 'norm_eps', 1e308],
    ['unet/config.json', 'freq_shift', 16],
    ['vae/config.json', 'scaling_factor', 1e-300],
    ['vae/config.json', 'scaling_factor', 1e308],
    ['vae/config.json', 'shift_factor', 1e308],
    ['text_encoder/config.json', 'layer_norm_eps', 1e308],
    ['scheduler/scheduler_config.json', 'beta_start', 2],
    ['scheduler/scheduler_config.json', 'beta_end', 0],
    ['scheduler/scheduler_config.json', 'trained_betas', new Array<number>(1000).fill(-1)],
    ['model_index.json', 'unet', ['diffusers', 'StableDiffusionPipeline']],
    ['model_index.json', 'tokenizer', ['transformers']],
  ])('is refused in %s with %s %s', async (file, field, value) => {
    const path = join(place, file);
    const whole = readFileSync(path, 'utf8');
    breakFile(place, { file, set: [[[field], value]] });
    const { message } = await failure(Promise.resolve(readers[file]!(path)));
    writeFileSync(path, whole);
    expect(message).toContain(`${path}: ${field} `);
  });
});

it('a network of many wide levels is refused before its graph is made', async () => {
  const place = await copyOf('sd1', 'many');
  const levels = new Array<number>(8).fill(32);
  const set: Edit['set'] = [
    [['block_out_channels'], levels],
    [['down_block_types'], levels.map(() => 'CrossAttnDownBlock2D')],
    [['up_block_types'], levels.map(() => 'CrossAttnUpBlock2D')],
    [['layers_per_block'], 64],
    [['transformer_layers_per_block'], 64],
  ];
  breakFile(place, { file: 'unet/config.json', set });
  const { message } = await failure(TextToImage.load(place));
  expect(message).toContain('layers_per_block is 64, it has to be of a network of at most 1024 blocks');
});
