// The original's configuration of a single file: what is read of it, and what of it counts.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readOriginalConfig } from '../../../lib/checkpoint/pipelines/single-file/original-config.js';
import { readSingleFile, type SingleFile } from '../../../lib/checkpoint/pipelines/single-file/single-file.js';
import { failure } from '../../support/failure.js';
import { writeFileTensors, zeros } from '../../support/file-tensors.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();

/** Reads a fixture's file by its configuration, with a line of that changed. */
async function readBy(model: string, line: string, other: string): Promise<SingleFile> {
  const place = join(latentFixtures, model);
  const config = join(folder, 'config.yml');
  const text = await readFile(join(place, 'config.yaml'), 'utf8');
  expect(text).toContain(line);
  await writeFile(config, text.replaceAll(line, other));
  return readSingleFile(join(place, 'model.safetensors'), { config });
}

describe("the original's configuration", () => {
  it('says the scale, the betas and the sinusoids of numbers', async () => {
    const { preset, scheduler } = await readBy('sd1-single', 'scale_factor: 0.18215', 'scale_factor: 0.5');
    expect(preset.scale).toBe(0.5);
    expect(scheduler).toMatchObject({ num_train_timesteps: 1000, beta_start: 0.00085, beta_end: 0.012 });
    const sdxl = await readBy('sdxl-single', 'outdim: 16', 'outdim: 24');
    expect(sdxl.preset).toMatchObject({ numberFeatures: 24, scale: 0.13025 });
  });

  it.each([
    ['sd1-single', 'model_channels: 32', 'model_channels: 64', /config\.yml: model_channels is 64.*32/],
    ['sdxl-single', 'adm_in_channels: 144', 'adm_in_channels: 145', /config\.yml: adm_in_channels is 145.*144/],
  ])('of another network than %s, by %s, is refused', async (model, line, other, message) => {
    const error = await failure(readBy(model, line, other));
    expect([error.code, error.message]).toEqual(['ERR_DPM_CONFIG', expect.stringMatching(message)]);
  });

  it.each(['use_scale_shift_norm', 'resblock_updown', 'use_new_attention_order'])(
    'with %s, which changes the network, is refused',
    async (name) => {
      const path = join(folder, 'switched.yaml');
      await writeFile(path, `model: { params: { unet_config: { params: { num_heads: 4, ${name}: true } } } }\n`);
      const error = await failure(readOriginalConfig(path));
      expect([error.code, error.message]).toEqual(['ERR_DPM_UNSUPPORTED', expect.stringContaining(name)]);
    },
  );
});

it('a file of SD 2 for inpainting predicts noise, any other of SD 2 does not say what', async () => {
  const of = async (channels: number): Promise<SingleFile> => {
    const tensors = new Map([
      ['input_blocks.0.0.weight', zeros(1, channels, 3, 3)],
      ['input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight', zeros(1, 1024)],
    ]);
    return readSingleFile(await writeFileTensors(join(folder, `${channels}.safetensors`), tensors));
  };
  expect((await of(9)).prediction).toEqual({ type: 'epsilon', from: 'sd2' });
  expect((await of(4)).prediction).toBeNull();
});
