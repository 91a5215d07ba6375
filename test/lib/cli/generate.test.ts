// dpm generate: images of a text by a pipeline's folder.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ImageBatch, TextToImage } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { tensorReader } from '../../support/tensors.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const small = ['--device', 'cpu', '--steps', '3', '--size', '16x24'];

describe('dpm generate', () => {
  it('draws what the library draws', async () => {
    const out = join(folder, 'cat.safetensors');
    const options = ['--count', '2', '--seed', '5', '--negative', 'blurry', '--guidance', '4', '--clip-skip', '1'];
    const { code, stderr, stdout } = await dpm('generate', model, 'a cat', '--out', out, ...small, ...options);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^2 images in [\d.]+ s -> /);
    await using pipeline = await TextToImage.load(model, { device: 'cpu' });
    const { images } = await pipeline.generate({
      prompt: 'a cat',
      negativePrompt: 'blurry',
      count: 2,
      steps: 3,
      height: 16,
      width: 24,
      seed: 5,
      guidance: 4,
      skippedLayers: 1,
    });
    expect(await tensorReader(out)('images')).toEqual(images!.data);
  });

  it('writes a picture, by another sampler and in tiles', async () => {
    const out = join(folder, 'cat.png');
    const more = ['--sampler', 'ddim', '--tile', '4', '--json'];
    const { code, stdout } = await dpm('generate', model, 'a cat', '--out', out, ...small, ...more);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ out, shape: [1, 3, 16, 24], truncated: false });
    expect((await ImageBatch.load(out)).shape).toEqual([1, 3, 16, 24]);
  });

  it('draws by a single file and by the parts that are named', async () => {
    const file = join(latentFixtures, 'sd1-ckpt/model.ckpt');
    const drawn = async (...more: string[]): Promise<Float32Array> => {
      const out = join(folder, 'file.safetensors');
      const { code, stderr } = await dpm('generate', file, 'a cat', '--out', out, ...small, '--config', model, ...more);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return tensorReader(out)('images');
    };
    const plain = await drawn();
    const out = join(folder, 'folder.safetensors');
    await dpm('generate', model, 'a cat', '--out', out, ...small);
    expect(plain).toEqual(await tensorReader(out)('images'));
    const others = [['--ema'], ['--prediction', 'v'], ['--vae', join(latentFixtures, 'sd2/vae')]];
    for (const more of others) expect(await drawn(...more)).not.toEqual(plain);
    expect(await drawn('--ema', '--unet', join(model, 'unet'))).toEqual(plain);
  });

  it('says that a prompt is too long', async () => {
    const out = join(folder, 'long.png');
    const { stderr } = await dpm('generate', model, 'ship '.repeat(100), '--out', out, ...small);
    expect(stderr).toContain('longer than the text encoder reads');
  });

  it.each([
    [['--size', '16y24'], "--size is '16y24'"],
    [['--size', '18'], 'height is 18'],
    [['--sampler', 'best'], '--sampler'],
    [['--steps', '0'], 'steps'],
    [['--prediction', 'noise'], '--prediction'],
    [['--config', 'sd1'], 'config is for single files'],
  ])('refuses %j', async (options, message) => {
    const out = join(folder, 'refused.png');
    const { code, stderr } = await dpm('generate', model, 'a cat', '--out', out, '--device', 'cpu', ...options);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });
});
