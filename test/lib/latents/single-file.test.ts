// Single files of Stable Diffusion against the folders of the same weights (test/fixtures/latent).
import { cp, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import {
  ClipTokenizer,
  ConditionalUNet,
  NoiseSchedule,
  TextToImage,
  type TextToImageLoadOptions,
} from '../../../lib/index.js';
import { conditionalCase, latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { fileTensors, writeFileTensors, zeros, type FileTensors } from '../../support/file-tensors.js';

const place = (name: string): string => join(latentFixtures, name);
const folder = temporaryFolder();
const sd1 = place('sd1');
const single = place('sd1-single/model.safetensors');
const pickled = place('sd1-ckpt/model.ckpt');

interface Drawn {
  latents: Float32Array;
  image: Float32Array;
  evidence: string;
}

async function drawn(path: string, options: TextToImageLoadOptions = {}): Promise<Drawn> {
  await using pipeline = await TextToImage.load(path, { device: 'cpu', threads: 1, ...options });
  const run = { prompt: 'a photo of a cat', negativePrompt: 'blurry', steps: 3, height: 16, width: 24, seed: 5 };
  const { latents, images } = await pipeline.generate(run);
  return { latents, image: images!.data, evidence: pipeline.evidence };
}

/** Writes a copy of a file with a change. */
async function changed(from: string, change: (tensors: FileTensors) => void): Promise<string> {
  const tensors = await fileTensors(from);
  change(tensors);
  return writeFileTensors(join(folder, `${Math.random()}.safetensors`), tensors);
}

async function refused(
  path: string,
  options: TextToImageLoadOptions = { config: sd1 },
): Promise<{ code?: string; message: string }> {
  return TextToImage.load(path, { device: 'cpu', ...options }).then(
    () => ({ message: 'nothing is wrong' }),
    (error: unknown) => ({ code: (error as { code: string }).code, message: (error as Error).message }),
  );
}

describe('a single file', () => {
  it.each([
    { model: 'sd1', file: 'sd1-single/model.safetensors', told: 'cond_stage_model.transformer' },
    { model: 'sd1', file: 'sd1-ckpt/model.ckpt', told: 'cond_stage_model.transformer' },
    { model: 'sdxl', file: 'sdxl-single/model.safetensors', told: 'conditioner.embedders.1.model' },
  ])('$file draws the bits of the folder $model', async ({ model, file, told }) => {
    const [own, expected] = [await drawn(place(file), { config: place(model) }), await drawn(place(model))];
    expect(own.latents).toEqual(expected.latents);
    expect(own.image).toEqual(expected.image);
    expect(own.evidence).toContain(told);
    expect(expected.evidence).toContain('model_index.json');
  });

  // As the cache of Hugging Face's hub has its files.
  it('may be a link to it', async () => {
    const link = join(folder, 'link.safetensors');
    await symlink(single, link);
    await using unet = await ConditionalUNet.load(link, { device: 'cpu', config: sd1 });
    expect(unet.inChannels).toBe(4);
  });

  it('of the refiner has the second encoder alone, and sees scores', async () => {
    const refiner = await changed(place('sdxl-single/model.safetensors'), (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        if (!name.startsWith('conditioner.')) continue;
        tensors.delete(name);
        if (name.includes('.1.model.')) tensors.set(name.replace('.1.model.', '.0.model.'), tensor);
      }
    });
    const [unet, vae] = [place('sdxl-refiner/unet'), place('sdxl/vae')];
    const parts = { textEncoder: place('sdxl/text_encoder_2'), tokenizer: place('sdxl/tokenizer_2'), vae };
    const schedule = place('sdxl-refiner/scheduler');
    const own = await drawn(refiner, { unet, ...parts, schedule });
    expect(own.evidence).toContain('sdxl-refiner (');
    expect(own.latents).toEqual((await drawn(place('sdxl-refiner'), parts)).latents);
  });

  it("draws the same by the original's configuration, which says how many heads there are", async () => {
    const parts = { textEncoder: join(sd1, 'text_encoder'), tokenizer: join(sd1, 'tokenizer') };
    const expected = await drawn(sd1);
    const own = await drawn(single, { config: place('sd1-single/config.yaml'), ...parts });
    expect(own.latents).toEqual(expected.latents);
    expect(own.image).toEqual(expected.image);
    // Eight heads of 4 channels are another network than the fixture's four of 8.
    const public1 = await drawn(single, { config: 'sd1', ...parts });
    expect(public1.latents).not.toEqual(expected.latents);
  });

  it('for inpainting predicts as the folder does', async () => {
    const { x, t, options } = await conditionalCase('sd1-inpaint/golden/unet');
    const expected = await ConditionalUNet.load(place('sd1-inpaint/unet'), { device: 'cpu' });
    const path = place('sd1-inpaint-single/model.safetensors');
    const own = await ConditionalUNet.load(path, { device: 'cpu', config: place('sd1-inpaint') });
    expect(own.inChannels).toBe(9);
    expect(await own.forward(x, t, options)).toEqual(await expected.forward(x, t, options));
    await Promise.all([own.close(), expected.close()]);
  });

  it('has averaged weights, which are used where they are asked for', async () => {
    const plain = await drawn(pickled, { config: sd1 });
    const averaged = await drawn(pickled, { config: sd1, ema: true });
    expect(averaged.latents).not.toEqual(plain.latents);
    await using unet = await ConditionalUNet.load(pickled, { device: 'cpu', config: sd1, ema: true });
    const { x, t, options } = await conditionalCase('sd1/golden/unet');
    await using other = await ConditionalUNet.load(pickled, { device: 'cpu', config: sd1, ema: false });
    expect(await unet.forward(x, t, options)).not.toEqual(await other.forward(x, t, options));
  });

  it('takes averages for the tensors that they are of', async () => {
    const name = 'model.diffusion_model.out.2.bias';
    const average = 'model_ema.diffusion_modelout2bias';
    const path = await changed(single, (tensors) => tensors.set(average, tensors.get(name)!));
    expect((await drawn(path, { config: sd1, ema: true })).latents).toEqual((await drawn(sd1)).latents);
    const lost = await changed(single, (tensors) => tensors.set(`${average}s`, tensors.get(name)!));
    expect(await refused(lost, { config: sd1, ema: true })).toMatchObject({
      code: 'ERR_DPM_TENSOR_UNUSED',
      message: expect.stringContaining(`${average}s`) as string,
    });
  });

  it('of SDXL that marks itself predicts v, to the end of the noise', async () => {
    const path = await changed(place('sdxl-single/model.safetensors'), (tensors) =>
      tensors.set('v_pred', zeros(0)).set('ztsnr', zeros(0)),
    );
    const expected = await drawn(place('sdxl'));
    const own = await TextToImage.load(path, { device: 'cpu', config: place('sdxl') });
    // The folder's scheduler counts where one is given.
    expect(own.schedule.defaults.prediction).toBe('epsilon');
    await own.close();
    const parts = {
      unet: place('sdxl/unet'),
      textEncoder: [place('sdxl/text_encoder'), place('sdxl/text_encoder_2')],
      tokenizer: [place('sdxl/tokenizer'), place('sdxl/tokenizer_2')],
    };
    await using marked = await TextToImage.load(path, { device: 'cpu', ...parts, vae: place('sdxl/vae') });
    expect(marked.schedule.defaults.prediction).toBe('v');
    expect(marked.schedule.alphaBar(1000)).toBeLessThan(1e-7);
    // Its first step has to begin where there is noise alone.
    expect(marked.schedule.scheduler?.config.timestep_spacing).toBe('trailing');
    expect(marked.evidence).toContain('v_pred');
    const { latents } = await marked.generate({ prompt: 'a cat', steps: 2, height: 16, width: 16, output: 'latents' });
    expect(latents.every(Number.isFinite)).toBe(true);
    expect(expected.latents.length).toBeGreaterThan(0);
  });
});

describe("a pipeline's parts", () => {
  it('are replaced by those that are given', async () => {
    const expected = await drawn(sd1);
    const vae = await drawn(sd1, { vae: single });
    expect(vae.image).toEqual(expected.image);
    expect((await drawn(sd1, { vae: place('sd2/vae') })).image).not.toEqual(expected.image);
    expect((await drawn(single, { config: sd1, vae: place('sd2/vae') })).image).not.toEqual(expected.image);
    expect((await drawn(sd1, { unet: single, config: sd1 })).latents).toEqual(expected.latents);
    expect((await drawn(sd1, { unet: pickled, config: sd1, ema: true })).latents).not.toEqual(expected.latents);
    expect((await drawn(single, { config: sd1, unet: join(sd1, 'unet') })).latents).toEqual(expected.latents);
    const other = place('sdxl/text_encoder');
    expect((await drawn(sd1, { textEncoder: other })).latents).not.toEqual(expected.latents);
    expect((await drawn(single, { config: sd1, textEncoder: other })).latents).not.toEqual(expected.latents);
    expect((await drawn(sd1, { tokenizer: place('sdxl/tokenizer_2') })).latents).not.toEqual(expected.latents);
    expect((await drawn(single, { config: sd1, tokenizer: place('sdxl/tokenizer_2') })).latents).not.toEqual(
      expected.latents,
    );
  });

  it("have the scale of the file's architecture where an autoencoder's own file says none", async () => {
    const parts = {
      textEncoder: [place('sdxl/text_encoder'), place('sdxl/text_encoder_2')],
      tokenizer: [place('sdxl/tokenizer'), place('sdxl/tokenizer_2')],
      unet: place('sdxl/unet'),
    };
    const file = place('sdxl-single/model.safetensors');
    await using pipeline = await TextToImage.load(file, { device: 'cpu', ...parts, vae: single });
    expect(pipeline.vae.toDiffusion(Float32Array.of(1))[0]).toBeCloseTo(0.13025, 6);
  });

  it('may be missing in a file if they are given', async () => {
    const expected = await drawn(sd1);
    const unet = await changed(single, (tensors) => {
      for (const name of tensors.keys()) if (!name.startsWith('model.')) tensors.delete(name);
    });
    const parts = { config: sd1, vae: join(sd1, 'vae') };
    expect(await refused(unet)).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(/autoencoder.*vae/) as string,
    });
    expect(await refused(unet, parts)).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(/textEncoder/) as string,
    });
    const own = await drawn(unet, { ...parts, textEncoder: join(sd1, 'text_encoder') });
    expect(own.image).toEqual(expected.image);
    const bare = await changed(unet, (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        tensors.delete(name);
        tensors.set(name.replace('model.diffusion_model.', ''), tensor);
      }
      // What training leaves may be there without a model, too.
      tensors.set('betas', zeros(1)).set('model_ema.decay', zeros(1));
    });
    expect((await drawn(sd1, { unet: bare, config: sd1 })).latents).toEqual(expected.latents);
  });

  it('refuse paths that are not as many as the encoders, and options of files for folders', async () => {
    expect(await refused(sd1, { textEncoder: ['a', 'b'] })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: 'textEncoder has 2 paths for 1 text encoders',
    });
    expect(await refused(sd1, { tokenizer: ['a', 'b'] })).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    // One vocabulary may serve two encoders, one encoder may not.
    expect(await refused(place('sdxl'), { textEncoder: place('sdxl/text_encoder') })).toMatchObject({
      message: 'textEncoder has 1 paths for 2 text encoders',
    });
    expect(await refused(single, { config: 'constructor' })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('presets') as string,
    });
    expect(await refused(sd1, { config: 'sd1' })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('config') as string,
    });
    expect(await refused(sd1, { ema: true })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('ema') as string,
    });
  });

  it("take a prediction in place of the scheduler's", async () => {
    const expected = await drawn(sd1);
    expect((await drawn(sd1, { prediction: 'epsilon' })).latents).toEqual(expected.latents);
    const velocity = await drawn(sd1, { prediction: 'v' });
    expect(velocity.latents).not.toEqual(expected.latents);
    expect((await drawn(single, { config: sd1, prediction: 'v' })).latents).toEqual(velocity.latents);
    expect((await drawn(sd1, { prediction: 'v', schedule: join(sd1, 'scheduler') })).latents).toEqual(velocity.latents);
    expect(await refused(sd1, { prediction: 'v', schedule: NoiseSchedule.linear() })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
    });
    expect(await refused(sd1, { prediction: 'noise' as 'v' })).toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('prediction') as string,
    });
  });
});

describe('the tokenizer of a single file', () => {
  it("is CLIP's own where no other is given and the encoder has as many tokens", async () => {
    const wide = await changed(single, (tensors) =>
      tensors.set('cond_stage_model.transformer.text_model.embeddings.token_embedding.weight', zeros(49_408, 32)),
    );
    const config = join(folder, 'without-tokenizer');
    await cp(sd1, config, { recursive: true });
    await rm(join(config, 'tokenizer'), { recursive: true });
    const { readFile, writeFile } = await import('node:fs/promises');
    const file = join(config, 'text_encoder/config.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"vocab_size": 814', '"vocab_size": 49408'));
    await using pipeline = await TextToImage.load(wide, { device: 'cpu', config });
    const clip = await ClipTokenizer.clip();
    expect(pipeline.tokenize('a photo of a cat!')).toEqual(clip.tokenize('a photo of a cat!'));
    expect(
      await refused(single, { config: place('sd1-single/config.yaml'), textEncoder: join(sd1, 'text_encoder') }),
    ).toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/model\.safetensors: the text encoder has 814 tokens.*tokenizer/) as string,
    });
  });

  it('pads as its encoder was trained', async () => {
    const clip = await ClipTokenizer.padded('!');
    expect([...clip.tokenize('so!').padded.subarray(0, 5)]).toEqual([49_406, 706, 0, 49_407, 0]);
  });
});

describe('a file', () => {
  it.each([
    ['Playground', 'edm_mean'],
    ['Playground', 'edm_std'],
    ['CosXL', 'edm_vpred.sigma_max'],
    ['ControlNet', 'control_model.input_hint_block.0.weight'],
    ['Stable Diffusion 3', 'model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight'],
    ['Flux', 'double_blocks.0.img_attn.qkv.weight'],
    ['x4 upscaler', 'model.diffusion_model.label_emb.weight'],
    ['unCLIP', 'model.diffusion_model.label_emb.0.0.weight'],
  ])('of %s is refused by its name', async (kind, name) => {
    const path = await changed(single, (tensors) => tensors.set(name, zeros(4)));
    const error = await refused(path, kind === 'unCLIP' ? { config: 'sd1' } : {});
    expect(error).toMatchObject({ code: 'ERR_DPM_UNSUPPORTED', message: expect.stringContaining(kind) as string });
    expect(error.message).toContain(path);
  });

  it('of other channels and of no model is refused', async () => {
    const convolution = 'model.diffusion_model.input_blocks.0.0.weight';
    const edited = await changed(single, (tensors) => tensors.set(convolution, zeros(32, 8, 3, 3)));
    expect(await refused(edited)).toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
      message: expect.stringContaining('8 input channels') as string,
    });
    const none = await changed(single, (tensors) => tensors.delete(convolution));
    expect(await refused(none)).toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
      message: expect.stringContaining(convolution) as string,
    });
  });

  it.each([
    ['U-Net', 'model.diffusion_model.output_blocks.1.1.conv.weight'],
    ['autoencoder', 'first_stage_model.decoder.mid.attn_1.q.weight'],
    ['text encoder', 'cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.bias'],
  ])('whose %s lacks a tensor, has one too many or one of another shape is refused by name', async (_, name) => {
    const missing = await changed(single, (tensors) => tensors.delete(name));
    expect(await refused(missing)).toEqual({
      code: 'ERR_DPM_TENSOR_MISSING',
      message: expect.stringContaining(`${missing}: 1 tensors are missing: ${name}`) as string,
    });
    const unknown = await changed(single, (tensors) => tensors.set(`${name}s`, zeros(1)));
    expect(await refused(unknown)).toEqual({
      code: 'ERR_DPM_TENSOR_UNUSED',
      message: expect.stringContaining(`${name}s`) as string,
    });
    const misshapen = await changed(single, (tensors) => tensors.set(name, zeros(3, 5)));
    expect(await refused(misshapen)).toEqual({
      code: 'ERR_DPM_TENSOR_SHAPE',
      message: expect.stringContaining(`tensor '${name}' is [3, 5]`) as string,
    });
  });

  it('may hold what training leaves, and nothing else', async () => {
    const left = await changed(single, (tensors) =>
      tensors.set('logvar', zeros(2)).set('first_stage_model.loss.logvar', zeros(1)).set('safety_checker.a', zeros(1)),
    );
    expect((await drawn(left, { config: sd1 })).latents).toEqual((await drawn(sd1)).latents);
    const other = await changed(single, (tensors) =>
      tensors.set('cond_stage_model.transformer.pooler.weight', zeros(2)),
    );
    expect(await refused(other)).toEqual({
      code: 'ERR_DPM_TENSOR_UNUSED',
      message: expect.stringContaining('pooler') as string,
    });
  });

  it('with a class as a key is refused by the name of the class', async () => {
    expect(await refused(place('sd1-ckpt/class-as-key.ckpt'))).toEqual({
      code: 'ERR_DPM_PICKLE',
      message: expect.stringContaining('pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint') as string,
    });
  });

  it('without averages is refused where they are asked for', async () => {
    expect(await refused(single, { config: sd1, ema: true })).toEqual({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining('ema') as string,
    });
  });

  it('of another kind than the configuration is refused', async () => {
    expect(await refused(single, { config: 'sdxl' })).toEqual({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(/config is 'sdxl', but .* is sd1/) as string,
    });
    expect(await refused(single, { config: 'sd1-inpaint' })).toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    expect(await refused(single, { config: 'sd3' })).toEqual({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(/sd3.*sd1-inpaint.*sdxl-turbo/) as string,
    });
    expect(await refused(single, { config: place('sdxl-single/config.yaml') })).toEqual({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/config\.yaml: context_dim is 80.*32/) as string,
    });
    expect(await refused(single, {})).toEqual({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/model\.safetensors: the text encoder has 32 channels.*config/) as string,
    });
  });
});
