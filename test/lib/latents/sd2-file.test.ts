// Single files of Stable Diffusion 2, which do not say whether they predict noise or v.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { TextToImage, type TextToImageLoadOptions } from '../../../lib/index.js';
import { decidePrediction } from '../../../lib/latents/decide-prediction.js';
import { closePipeline, loadPipeline } from '../../../lib/latents/load-pipeline.js';
import { pipelineMemory } from '../../../lib/latents/pipeline-memory.js';
import { fileTensors, writeFileTensors, zeros } from '../../support/file-tensors.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { sd2SingleFile } from '../../support/sd2-single-file.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const sd2 = join(latentFixtures, 'sd2');
const parts = {
  unet: join(sd2, 'unet'),
  textEncoder: join(sd2, 'text_encoder'),
  tokenizer: join(sd2, 'tokenizer'),
  vae: join(sd2, 'vae'),
};
let file: string;

async function load(path: string, options: TextToImageLoadOptions): Promise<TextToImage> {
  return TextToImage.load(path, { device: 'cpu', threads: 1, ...options });
}

async function latentsOf(pipeline: TextToImage): Promise<Float32Array> {
  const { latents } = await pipeline.generate({ prompt: 'so!', steps: 3, height: 16, width: 16, output: 'latents' });
  await pipeline.close();
  return latents;
}

beforeAll(async () => {
  file = await writeFileTensors(join(folder, 'sd2.safetensors'), await sd2SingleFile());
});

describe('a single file of Stable Diffusion 2', () => {
  it('draws the bits of the folder', async () => {
    const [own, expected] = [await load(file, { config: sd2 }), await load(sd2, {})];
    const run = { prompt: 'so!', steps: 3, height: 16, width: 16, seed: 2 };
    const [one, two] = [await own.generate(run), await expected.generate(run)];
    expect(one.latents).toEqual(two.latents);
    expect(one.images!.data).toEqual(two.images!.data);
    await Promise.all([own.close(), expected.close()]);
  });

  it('says its prediction in its metadata', async () => {
    const tensors = await sd2SingleFile();
    for (const [said, prediction] of [
      ['v', 'v'],
      ['v_prediction', 'v'],
      ['epsilon', 'epsilon'],
    ]) {
      const path = join(folder, `${said}.safetensors`);
      await writeFileTensors(path, tensors, { 'modelspec.prediction_type': said! });
      await using pipeline = await load(path, parts);
      expect(pipeline.schedule.defaults.prediction).toBe(prediction);
      expect(pipeline.evidence).toContain('modelspec.prediction_type');
      expect(pipeline.schedule.scheduler?.config._class_name).toBe(
        prediction === 'v' ? 'DDIMScheduler' : 'PNDMScheduler',
      );
    }
  });

  it('shows it by an evaluation where nothing says it', async () => {
    await using pipeline = await load(file, parts);
    // Random weights give nothing of the noise back.
    expect(pipeline.schedule.defaults.prediction).toBe('v');
    expect(pipeline.evidence).toMatch(/sd2 .*v_prediction \(an evaluation of noise gives -?0\.\d\d of it back\)/);
  });

  it('takes the memory that it would take without that evaluation', async () => {
    const [shown, told] = await Promise.all(
      [{}, { prediction: 'v' } as const].map(async (options) => {
        const pipeline = await loadPipeline(file, { device: 'cpu', threads: 1, ...parts, ...options });
        const { machine: _, ...memory } = await pipelineMemory(pipeline, { height: 16, width: 16, count: 1 });
        await closePipeline(pipeline);
        return memory;
      }),
    );
    expect(shown).toEqual(told);
  });

  it.each([
    { options: { prediction: 'epsilon' }, prediction: 'epsilon' },
    { options: { config: 'sd2-base' }, prediction: 'epsilon' },
    { options: { config: 'sd-turbo' }, prediction: 'epsilon' },
    { options: { config: 'sd2-v' }, prediction: 'v' },
    { options: { prediction: 'v' }, prediction: 'v' },
    { options: { prediction: 'x0' }, prediction: 'x0' },
    { options: { schedule: join(sd2, 'scheduler') }, prediction: 'v' },
  ] as const)('predicts as $options says, without an evaluation', async ({ options, prediction }) => {
    await using pipeline = await load(file, { ...parts, ...options });
    expect(pipeline.schedule.defaults.prediction).toBe(prediction);
    expect(pipeline.evidence).not.toContain('evaluation');
  });

  it.each([
    { said: '', prediction: 'epsilon' },
    { said: '    parameterization: v\n', prediction: 'v' },
    { said: '    denoiser_config: { params: { scaling_config: { target: a.VScaling } } }\n', prediction: 'v' },
    { said: '    denoiser_config: { params: { scaling_config: { target: a.EpsScaling } } }\n', prediction: 'epsilon' },
  ])("predicts as the original's configuration says by '$said'", async ({ said, prediction }) => {
    const config = join(folder, 'config.yaml');
    const unet = '{ num_heads: 4, model_channels: 16, context_dim: 48, in_channels: 4, out_channels: 4 }';
    const schedule = '    linear_start: 0.001\n    linear_end: 0.02\n    timesteps: 500\n';
    await writeFile(config, `model:\n  params:\n${schedule}${said}    unet_config:\n      params: ${unet}\n`);
    await using pipeline = await load(file, { ...parts, config });
    expect(pipeline.schedule.defaults.prediction).toBe(prediction);
    expect(pipeline.evidence).toContain(config);
    expect(pipeline.schedule.steps).toBe(500);
    expect(pipeline.schedule.alphaBar(1)).toBeCloseTo(0.999, 6);
  });

  it.each([
    ['denoiser_config: { params: { scaling_config: { target: a.EDMScaling } } }', 'EDMScaling'],
    ['parameterization: x0', 'parameterization'],
    ['linear_start: wide', 'linear_start'],
    ['scale_factor: 0', 'scale_factor'],
  ])('refuses %s', async (said, message) => {
    const config = join(folder, 'wrong.yaml');
    await writeFile(config, `model:\n  params:\n    ${said}\n    unet_config:\n      params: { num_heads: 4 }\n`);
    const refusal = await load(file, { ...parts, config }).catch((error: unknown) => error as Error);
    expect(refusal).toMatchObject({ message: expect.stringContaining(message) as string });
    expect(refusal).toMatchObject({ message: expect.stringContaining(config) as string });
  });

  it("pads by '!' where no tokenizer is given but that of CLIP", async () => {
    const textEncoder = join(folder, 'wide');
    await cp(parts.textEncoder, textEncoder, { recursive: true });
    const [config, weights] = ['config.json', 'model.safetensors'].map((name) => join(textEncoder, name));
    await writeFile(config!, (await readFile(config!, 'utf8')).replace('"vocab_size": 814', '"vocab_size": 49408'));
    const tensors = await fileTensors(weights!);
    const name = [...tensors.keys()].find((each) => each.endsWith('token_embedding.weight'))!;
    await writeFileTensors(weights!, tensors.set(name, zeros(49_408, tensors.get(name)!.shape[1]!)));
    await using pipeline = await load(file, { unet: parts.unet, vae: parts.vae, textEncoder, prediction: 'v' });
    expect([...pipeline.tokenize('so!').padded.subarray(0, 5)]).toEqual([49_406, 706, 0, 49_407, 0]);
  });

  it('has the guidance and steps of its preset', async () => {
    const turbo = await load(file, { ...parts, config: 'sd-turbo' });
    let total = 0;
    await turbo.generate({
      prompt: 'a',
      height: 16,
      width: 16,
      output: 'latents',
      onProgress: (_, all) => (total = all),
    });
    expect(total).toBe(1);
    expect(await latentsOf(turbo)).not.toEqual(await latentsOf(await load(file, { ...parts, config: 'sd2-base' })));
  });
});

describe('the prediction of a network', () => {
  const noise = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
  const other = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));

  it('is noise if it gives noise back, and v if hardly any of it', async () => {
    const near = await decidePrediction(noise, (z) =>
      Promise.resolve(z.map((value, i) => 0.9 * value + 0.1 * other[i]!)),
    );
    expect(near.type).toBe('epsilon');
    expect(near.part).toBeCloseTo(0.9, 1);
    const far = await decidePrediction(noise, (z) => Promise.resolve(z.map((value, i) => 0.07 * value - other[i]!)));
    expect(far.type).toBe('v_prediction');
    expect(Math.abs(far.part)).toBeLessThan(0.15);
  });
});
