// Autoencoders of single files: TAESD's two, lone ones, and those of whole models.
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Autoencoder } from '../../../lib/index.js';
import { fileTensors, writeFileTensors, type FileTensors } from '../../support/file-tensors.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

const place = (name: string): string => join(latentFixtures, name);
const folder = temporaryFolder();
const size = { height: 16, width: 32 };
const images = Float32Array.from({ length: 3 * 16 * 32 }, (_, i) => Math.sin(i / 7));

interface Codes {
  mean: Float32Array;
  decoded: Float32Array;
  scaled: number;
}

async function codes(path: string, config?: string): Promise<Codes> {
  await using vae = await Autoencoder.load(path, {
    device: 'cpu',
    threads: 1,
    ...(config !== undefined && { config }),
  });
  const { mean } = await vae.encode(images, size);
  return { mean, decoded: await vae.decode(mean, size), scaled: vae.toDiffusion(Float32Array.of(1))[0]! };
}

async function refusal(path: string, config?: string): Promise<unknown> {
  return codes(path, config).catch((error: unknown) => error);
}

describe("TAESD's two files", () => {
  it('are what diffusers makes of them, by either one or by their folder', async () => {
    const both = join(folder, 'both');
    for (const half of ['encoder', 'decoder']) {
      await cp(place(`taesd/taesd_${half}.safetensors`), join(both, `taesd_${half}.safetensors`));
    }
    const ofSdxl = join(folder, 'sdxl');
    for (const half of ['encoder', 'decoder']) {
      await cp(place(`taesd/taesd_${half}.safetensors`), join(ofSdxl, `taesdxl_${half}.safetensors`));
    }
    const expected = await codes(place('taesd'));
    for (const path of [
      ofSdxl,
      both,
      join(both, 'taesd_encoder.safetensors'),
      join(both, 'taesd_decoder.safetensors'),
    ]) {
      expect(await codes(path)).toEqual(expected);
    }
  });

  it('have to be two', async () => {
    const alone = join(folder, 'alone');
    const [encoder, decoder] = ['encoder', 'decoder'].map((half) => join(alone, `taesd_${half}.safetensors`));
    await cp(place('taesd/taesd_decoder.safetensors'), decoder!);
    expect(await refusal(decoder!)).toMatchObject({
      code: 'ERR_DPM_FILE',
      message: expect.stringContaining(encoder!) as string,
    });
    await cp(place('taesd/taesd_encoder.safetensors'), encoder!);
    await rm(decoder!);
    expect(await refusal(alone)).toMatchObject({
      code: 'ERR_DPM_FILE',
      message: expect.stringContaining(decoder!) as string,
    });
  });

  it('lack no tensor and have none too many', async () => {
    const edited = join(folder, 'edited');
    await cp(place('taesd'), edited, { recursive: true });
    const path = join(edited, 'taesd_decoder.safetensors');
    const tensors = await fileTensors(path);
    await writeFileTensors(path, new Map([...tensors].filter(([name]) => name !== '7.conv.2.bias')));
    expect(await refusal(path)).toMatchObject({
      code: 'ERR_DPM_TENSOR_MISSING',
      message: expect.stringMatching(/taesd_decoder.*7\.conv\.2\.bias/) as string,
    });
    await writeFileTensors(path, new Map([...tensors, ['2.scale', tensors.get('1.bias')!]]));
    expect(await refusal(path)).toMatchObject({
      code: 'ERR_DPM_TENSOR_UNUSED',
      message: expect.stringContaining('2.scale') as string,
    });
  });
});

describe("a file of an autoencoder with the original's names", () => {
  const whole = place('sd1-single/model.safetensors');

  async function lone(prefix: string): Promise<string> {
    const own: FileTensors = new Map();
    for (const [name, tensor] of await fileTensors(whole)) {
      if (name.startsWith('first_stage_model.')) own.set(name.replace('first_stage_model.', prefix), tensor);
    }
    return writeFileTensors(join(folder, `lone-${prefix}.safetensors`), own);
  }

  it('is what diffusers makes of it, alone or in a whole model', async () => {
    const expected = await codes(place('sd1/vae'));
    for (const path of [whole, await lone(''), await lone('vae.')]) expect(await codes(path)).toEqual(expected);
    expect(await codes(place('sd1-ckpt/model.ckpt'))).toEqual(expected);
    // What training leaves may be there, too.
    const left = await fileTensors(await lone(''));
    left.set('logvar', left.get('quant_conv.bias')!);
    expect(await codes(await writeFileTensors(join(folder, 'left.safetensors'), left))).toEqual(expected);
  });

  it('has its scale from the configuration', async () => {
    const path = await lone('');
    expect((await codes(path)).scaled).toBeCloseTo(0.18215, 6);
    expect((await codes(path, 'sdxl')).scaled).toBeCloseTo(0.13025, 6);
    expect((await codes(path, place('sdxl-single/config.yaml'))).scaled).toBeCloseTo(0.13025, 6);
    expect((await codes(path, place('sd1'))).scaled).toBeCloseTo(0.18215, 6);
  });

  it('is refused by name where it is none, and a configuration where there is a folder', async () => {
    const diffusers = place('sd1/vae/diffusion_pytorch_model.safetensors');
    expect(await refusal(diffusers)).toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
      message: expect.stringContaining('names of diffusers') as string,
    });
    expect(await refusal(place('sd1/text_encoder/model.safetensors'))).toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    expect(await refusal(place('sd1/vae'), 'sd1')).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('config') as string,
    });
  });
});
