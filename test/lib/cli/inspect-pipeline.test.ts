// dpm inspect of text-to-image pipelines: facts, costs and what they take in memory.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { TextToImage, type KeptParts } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

interface Inspected {
  evidence: string;
  size: { height: number; width: number };
  count: number;
  unet: { parameters: number; multiplyAdds: number } & Record<string, unknown>;
  vae: { parameters: number; multiplyAdds: number; scale: number };
  textEncoders: Record<string, unknown>[];
  tokenizers: Record<string, unknown>[];
  schedule: { prediction: string; name: string; steps: number };
  scheduler: { scheduler: string; evaluations: number };
  defaults: { steps: number; guidance: number };
  memory: {
    texts: number;
    unet: number;
    decoder: number;
    rows: number;
    tile: number | null;
    peak: Record<KeptParts, number>;
    fits: Record<KeptParts, boolean>;
  };
}

const folder = temporaryFolder();
const fixture = (name: string): string => join(latentFixtures, name);
const single = join(latentFixtures, 'sd1-single/model.safetensors');
const cpu = ['--device', 'cpu', '--threads', '1'];

async function inspected(model: string, ...args: string[]): Promise<Inspected> {
  const device = args.includes('--device') ? [] : cpu;
  const { code, stdout, stderr } = await dpm('inspect', model, '--json', ...device, ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Inspected;
}

describe('dpm inspect of a pipeline', () => {
  it('tells what the parts of a folder are', async () => {
    expect(await inspected(fixture('sdxl'))).toMatchObject({
      evidence: `sdxl (${join(fixture('sdxl'), 'model_index.json')})`,
      size: { height: 16, width: 16 },
      count: 1,
      unet: { inChannels: 4, contextWidth: 80, channels: [32, 32], sampleSize: 8, seesPooled: true },
      vae: { kind: 'kl', latentChannels: 4, factor: 2, scale: 0.13025 },
      textEncoders: [
        { width: 32, layers: 3, tokens: 77, projection: null },
        { width: 48, layers: 3, tokens: 77, projection: 48 },
      ],
      tokenizers: [
        { vocabulary: 814, tokens: 77 },
        { vocabulary: 814, tokens: 77 },
      ],
      schedule: { name: 'scaled_linear', steps: 1000, prediction: 'epsilon' },
      scheduler: { scheduler: 'EulerDiscreteScheduler', evaluations: 50 },
      defaults: { steps: 50, guidance: 5 },
    });
  });

  it('tells of a tokenizer that knows less than its encoder', async () => {
    const path = join(folder, 'fewer-words');
    cpSync(fixture('sd1'), path, { recursive: true });
    const [words, merges] = ['vocab.json', 'merges.txt'].map((name) => join(path, 'tokenizer', name));
    const { 'vase</w>': gone, ...ids } = JSON.parse(readFileSync(words!, 'utf8')) as Record<string, number>;
    const fewer = Object.entries(ids).map(([token, id]) => [token, id > gone! ? id - 1 : id]);
    writeFileSync(words!, JSON.stringify(Object.fromEntries(fewer)));
    writeFileSync(merges!, readFileSync(merges!, 'utf8').replace('v ase</w>\n', ''));
    expect(await inspected(path)).toMatchObject({
      textEncoders: [{ vocabulary: 814 }],
      tokenizers: [{ vocabulary: 813 }],
    });
  });

  it('counts the parameters of the networks', async () => {
    const found = await inspected(fixture('sd1'));
    expect(found.unet.heads).toEqual([]);
    await using pipeline = await TextToImage.load(fixture('sd1'), { device: 'cpu' });
    expect(found.unet.parameters).toBe(pipeline.unet.parameters);
    expect(found.unet.multiplyAdds).toBeGreaterThan(found.unet.parameters);
  });

  it('says the same of a single file', async () => {
    const [file, whole] = [await inspected(single, '--config', fixture('sd1')), await inspected(fixture('sd1'))];
    expect(file.evidence).toBe('sd1 (cond_stage_model.transformer.*)');
    expect({ ...file, evidence: '' }).toEqual({ ...whole, evidence: '' });
  });

  it('prints it', async () => {
    const { stdout } = await dpm('inspect', fixture('lcm'), ...cpu, '--steps', '4', '--count', '2');
    expect(stdout).toMatch(/^pipeline +sd \(.*model_index.json\)\nunet +4 -> 4 channels, .*the weight of guidance/);
    expect(stdout).toMatch(/\nvae +kl, 3 channels, 4 of latents, factor 2, scale 0.18215, 0.057 M parameters\n/);
    expect(stdout).toMatch(/\ntext encoder +width 32, 3 layers, .*\ntokenizer +814 tokens, 77 in a text\n/);
    expect(stdout).toMatch(/\nscheduler +LCMScheduler is lcm, .*, 4 evaluations for 4 steps\n/);
    expect(stdout).toMatch(
      /\nsize +16 x 16, 2 at once\nmultiply-adds +U-Net 0.\d+ G per evaluation of one row, decoder/,
    );
    expect(stdout).toMatch(/\nmemory of U-Net +[\d.]+ KiB, 2 rows at once\nmemory of decoder .*, whole\n/);
    expect(stdout).toMatch(/\npeak, keep none +[\d.]+ KiB, fits into [\d.]+ GiB\n$/);
  });
});

describe('options', () => {
  it('of the size and the number of images change costs and memory', async () => {
    const [one, larger, two] = [
      await inspected(fixture('sd1')),
      await inspected(fixture('sd1'), '--size', '32x48'),
      await inspected(fixture('sd1'), '--count', '2'),
    ];
    expect(larger.size).toEqual({ height: 32, width: 48 });
    expect(larger.unet.multiplyAdds).toBeGreaterThan(1.4 * one.unet.multiplyAdds);
    expect(larger.vae.multiplyAdds).toBeGreaterThan(1.4 * one.vae.multiplyAdds);
    expect(larger.memory.decoder).toBeGreaterThan(one.memory.decoder);
    expect([one.memory.rows, two.memory.rows]).toEqual([2, 4]);
    expect(two.memory.unet).toBeGreaterThan(one.memory.unet);
    expect(two.memory.texts).toBe(one.memory.texts);
  });

  it('of loading apply', async () => {
    const plain = await inspected(fixture('sd1'));
    expect((await inspected(fixture('sd1'), '--prediction', 'v')).schedule.prediction).toBe('v');
    expect((await inspected(fixture('sd1'), '--vae', fixture('sd2/vae'))).vae).not.toEqual(plain.vae);
    expect((await inspected(fixture('sd1'), '--unet', fixture('lcm/unet'))).unet.parameters).toBeLessThan(
      plain.unet.parameters,
    );
    const other = await inspected(fixture('sd1'), '--schedule', fixture('lcm'), '--steps', '3');
    expect(other.scheduler).toMatchObject({ scheduler: 'LCMScheduler', evaluations: 3 });
    expect((await dpm('inspect', single, ...cpu, '--config', fixture('sd1'), '--ema')).stderr).toContain('model_ema');
  });

  it('of memory: what is short makes tiles, or does not fit', async () => {
    const size = ['--size', '320'];
    const whole = await inspected(fixture('sd1'), ...size);
    expect(whole.memory).toMatchObject({ tile: null, fits: { all: true, none: true } });
    process.env.DPM_MEMORY = '0.06';
    const tiled = await inspected(fixture('sd1'), ...size).finally(() => {
      delete process.env.DPM_MEMORY;
    });
    expect(tiled.memory.tile).toBe(64);
    process.env.DPM_MEMORY = '0.003';
    const short = await dpm('inspect', fixture('sd1'), ...cpu).finally(() => {
      delete process.env.DPM_MEMORY;
    });
    expect(short.stdout).toMatch(/keep all +3.4 MiB, does not fit into 3.1 MiB\n.*\npeak, keep none .*, fits into/);
  });

  it.each([
    [['--size', '18'], 'height is 18'],
    [['--size', '16y24'], "--size is '16y24'"],
    [['--count', '0'], '--count is 0'],
    [['--head', 'sn'], '--head is for models of pixels'],
    [['--image-size', '16'], '--image-size is for'],
    [['--network-time', 'index'], '--network-time is for'],
    [['--config', 'sd1'], 'config is for single files'],
    [['--prediction', 'noise'], '--prediction'],
    [['--unet', fixture('sdxl/unet')], 'cross_attention_dim'],
  ])('%j are refused', async (options, message) => {
    const { code, stderr } = await dpm('inspect', fixture('sd1'), ...cpu, ...options);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });

  it('of pipelines are refused for models of pixels, which may have model_index.json, too', async () => {
    const own = join(folder, 'pixels');
    cpSync(packagePath('models/mnist'), own, { recursive: true });
    writeFileSync(join(own, 'model_index.json'), '{"_class_name": "DDPMPipeline"}');
    const plain = await dpm('inspect', 'mnist', ...cpu, '--json');
    const indexed = JSON.parse((await dpm('inspect', own, ...cpu, '--json')).stdout) as object;
    expect({ ...indexed, evidence: '' }).toEqual({ ...(JSON.parse(plain.stdout) as object), evidence: '' });
    const others = [['--size', '16'], ['--count', '2'], ['--ema'], ['--vae', own], ['--unet', own], ['--lora', own]];
    for (const more of [...others, ['--prediction', 'v']]) {
      expect((await dpm('inspect', own, ...cpu, ...more)).stderr).toContain(
        `${more[0]!} is for text-to-image pipelines`,
      );
    }
  });

  it('names the tensor or file that a pipeline lacks', async () => {
    const own = join(folder, 'lacking');
    cpSync(fixture('sd1'), own, { recursive: true });
    cpSync(
      fixture('lcm/vae/diffusion_pytorch_model.safetensors'),
      join(own, 'vae/diffusion_pytorch_model.safetensors'),
    );
    expect((await dpm('inspect', own, ...cpu)).stderr).toMatch(/ERR_DPM_TENSOR_\w+.*decoder|encoder/);
    rmSync(join(own, 'unet'), { recursive: true });
    expect((await dpm('inspect', own, ...cpu)).stderr).toContain(join(own, 'unet', 'config.json'));
  });
});

describe('memory', () => {
  /** Bytes that are in use after two calls, or were at their peak where parts are freed. */
  async function taken(model: string, device: string, keep: KeptParts, side: number, tile?: number): Promise<number> {
    await using pipeline = await TextToImage.load(fixture(model), { device, threads: 1, keep });
    const call = { prompt: 'a cat', steps: 2, height: side, width: side, count: 2, tile };
    for (let round = 0; round < 2; ++round) await pipeline.generate(call);
    const { host, peakDevice } = pipeline.device.memory();
    return keep === 'all' ? host : peakDevice;
  }

  it.each([
    ['reference', 'sd1'],
    ['reference', 'sdxl'],
    ['reference', 'lcm'],
    ['cpu', 'sd1'],
    ['cpu', 'sdxl'],
  ])('on the %s is what a call of %s takes', async (device, model) => {
    const size = ['--size', '16', '--count', '2', '--device', device, '--threads', '1'];
    const { memory } = await inspected(fixture(model), ...size);
    for (const keep of ['all', 'unet', 'none'] as const) {
      const ratio = (await taken(model, device, keep, 16)) / memory.peak[keep];
      expect(ratio, keep).toBeGreaterThanOrEqual(1);
      // The cpu's working memory is not in it, which beside networks as small as these is not small.
      expect(ratio, keep).toBeLessThan(device === 'cpu' ? 1.25 : 1.05);
    }
  });

  it('of tiles is that of their sizes', async () => {
    await using pipeline = await TextToImage.load(fixture('sd1'), { device: 'reference' });
    const { vae, device } = pipeline;
    for (const { height, width } of [
      { height: 40, width: 24 },
      { height: 16, width: 16 },
    ]) {
      const bytes = await vae.bytesFor({ height, width, tile: 4 });
      await vae.decode(new Float32Array((4 * height * width) / 16), { height, width, tile: 4 });
      expect(device.memory().host / bytes).toBeCloseTo(1, 1);
      await vae.release();
    }
  });

  it('of tiles of many sizes is that of the largest that are there at once', async () => {
    await using pipeline = await TextToImage.load(fixture('sd1'), { device: 'reference' });
    const { vae, device } = pipeline;
    // Sides of 8, 7 and 1 make nine sizes, of which five are there.
    const size = { height: 52, width: 52, tile: 8 };
    await vae.decode(new Float32Array(4 * 13 * 13), size);
    const { peakDevice } = device.memory();
    expect(peakDevice / (await vae.bytesFor(size))).toBeCloseTo(1, 4);
  });

  it('of weights is counted for any size that is asked for after another', async () => {
    await using pipeline = await TextToImage.load(fixture('sd1'), { device: 'cpu', threads: 1 });
    const small = await pipeline.unet.bytesFor({ height: 4, width: 4 });
    expect(await pipeline.unet.bytesFor({ height: 8, width: 8 })).toBeGreaterThan(small);
  });
});
