// A text-to-image pipeline in other types of weights.
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { convertPipeline } from '../../../lib/latents/convert-pipeline.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { TextToImage } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { failure } from '../../support/failure.js';
import { fileTensors, writeFileTensors } from '../../support/file-tensors.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { pathsIn, temporaryFolder } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';

const folder = temporaryFolder();
const newFolder = pathsIn(folder);
const UNET = 'unet/diffusion_pytorch_model.safetensors';
const TEXT = 'text_encoder/model.safetensors';

/** A pipeline with all that a folder may have, and something that is nobody's. */
let whole: string;
beforeAll(async () => {
  whole = newFolder();
  await cp(join(latentFixtures, 'sd1'), whole, { recursive: true });
  const heads = join(whole, 'unet', 'heads');
  await mkdir(heads);
  const config = { heads: { npr: 'error.safetensors' }, out_channels: 4, norm_num_groups: 32, norm_eps: 1e-5 };
  await writeFile(join(heads, 'config.json'), JSON.stringify(config));
  const unet = await fileTensors(join(whole, UNET));
  const ofHead = [...unet].filter(([name]) => /^conv_(norm_)?out/.test(name));
  const named = ofHead.map(([name, tensor]) => [name.replace('conv_norm_out', 'norm_out'), tensor] as const);
  await writeFileTensors(join(heads, 'error.safetensors'), new Map(named));
  const m = Array<number>(1001).fill(0.5);
  const table = { num_train_timesteps: 1000, m, schedule: 'any', images_per_step: 1 };
  await writeFile(join(whole, 'gamma.json'), JSON.stringify(table));
  await writeFile(join(whole, 'generation_config.json'), JSON.stringify({ num_inference_steps: 2 }));
  await writeFile(join(whole, 'metrics.jsonl'), '{}');
  // Older libraries kept the places of tokens beside the weights.
  const text = await fileTensors(join(whole, TEXT));
  text.set('text_model.embeddings.position_ids', { dtype: 'I64', shape: [1, 77], bytes: new Uint8Array(8 * 77) });
  await writeFileTensors(join(whole, TEXT), text);
});

const latentsOf = async (path: string): Promise<Float32Array> => {
  await using pipeline = await TextToImage.load(path, { device: 'cpu', threads: 1 });
  return (await pipeline.generate({ prompt: 'a cat', seed: 1, output: 'latents', sampler: 'npr-ddim' })).latents;
};

describe('a pipeline that is converted', () => {
  it('has all of its parts, and draws the same', async () => {
    const to = join(newFolder(), 'deep', 'f32');
    const told: number[][] = [];
    const counted = await convertPipeline(whole, to, { onProgress: (...counts) => void told.push(counts) });
    const names = (await readdir(to, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(to.length + 1));
    expect(names.toSorted()).toEqual(
      [
        'gamma.json',
        'generation_config.json',
        'model_index.json',
        'scheduler/scheduler_config.json',
        TEXT,
        'text_encoder/config.json',
        ...['merges.txt', 'special_tokens_map.json', 'tokenizer_config.json', 'vocab.json'].map(
          (name) => `tokenizer/${name}`,
        ),
        UNET,
        'unet/config.json',
        'unet/heads/config.json',
        'unet/heads/error.safetensors',
        'vae/config.json',
        'vae/diffusion_pytorch_model.safetensors',
      ].toSorted(),
    );
    const isCopied = (name: string): boolean => !/safetensors$|^model_index/.test(name);
    for (const name of names.filter(isCopied)) {
      expect(await readFile(join(to, name)), name).toEqual(await readFile(join(whole, name)));
    }
    expect(await readTensors(join(to, UNET))).toEqual(await readTensors(join(whole, UNET)));
    expect(await latentsOf(to)).toEqual(await latentsOf(whole));
    expect(told.at(-1)).toEqual([counted.tensors, counted.tensors]);
    expect(counted.bytes).toBe(4 * counted.parameters);
    const { tensors } = await readSafetensorsHeader(join(to, TEXT));
    expect(tensors.has('text_model.embeddings.position_ids')).toBe(false);
  });

  it('has weights of the type that is asked for, those of heads too', async () => {
    const to = newFolder();
    const told = await dpm('convert', whole, '--to', to, '--dtype', 'f16', '--json');
    expect(JSON.parse(told.stdout)).toMatchObject({ family: 'text-to-image pipeline', to });
    for (const path of [UNET, TEXT, 'unet/heads/error.safetensors', 'vae/diffusion_pytorch_model.safetensors']) {
      const { tensors } = await readSafetensorsHeader(join(to, path));
      expect([...new Set([...tensors.values()].map(({ dtype }) => dtype))], path).toEqual(['F16']);
    }
    const [half, own] = [await latentsOf(to), await latentsOf(whole)];
    const error = Math.max(...half.map((value, i) => Math.abs(value - own[i]!)));
    expect(error).toBeLessThan(0.05);
  });

  it.each<[string, (path: string) => Promise<void>, RegExp]>([
    ['without a part', (path) => rm(join(path, 'vae'), { recursive: true }), /has no vae.config\.json, a part/],
    [
      'with weights that do not fit',
      async (path) => {
        const tensors = await fileTensors(join(path, UNET));
        tensors.delete('conv_in.bias');
        await writeFileTensors(join(path, UNET), tensors);
      },
      /conv_in\.bias/,
    ],
    [
      'with a head that does not fit',
      async (path) => {
        const file = join(path, 'unet', 'heads', 'error.safetensors');
        const tensors = await fileTensors(file);
        tensors.delete('conv_out.bias');
        await writeFileTensors(file, tensors);
      },
      /head\.npr\.conv_out\.bias/,
    ],
  ])('is refused %s, and nothing is written', async (_, damage, message) => {
    const [damaged, to] = [newFolder(), join(newFolder(), 'new')];
    await cp(whole, damaged, { recursive: true });
    await damage(damaged);
    expect((await failure(convertPipeline(damaged, to))).message).toMatch(message);
    await expect(readdir(join(to, '..'))).rejects.toThrow('ENOENT');
  });

  it('of two text encoders has both', async () => {
    const to = newFolder();
    await convertPipeline(join(latentFixtures, 'sdxl'), to);
    const draw = async (path: string): Promise<Float32Array> => {
      await using pipeline = await TextToImage.load(path, { device: 'cpu', threads: 1 });
      return (await pipeline.generate({ prompt: 'a cat', steps: 2, output: 'latents' })).latents;
    };
    expect(await draw(to)).toEqual(await draw(join(latentFixtures, 'sdxl')));
    for (const part of ['text_encoder_2/config.json', 'tokenizer_2/vocab.json', 'tokenizer/merges.txt']) {
      const damaged = newFolder();
      await cp(join(latentFixtures, 'sdxl'), damaged, { recursive: true });
      await rm(join(damaged, part));
      expect((await failure(convertPipeline(damaged, newFolder()))).message).toContain(`has no ${part}, a part`);
    }
  });

  it('lists no parts that are left out, and has its scheduler where it belongs', async () => {
    const [own, to] = [newFolder(), newFolder()];
    await cp(whole, own, { recursive: true });
    await cp(join(own, 'scheduler/scheduler_config.json'), join(own, 'scheduler_config.json'));
    await rm(join(own, 'scheduler'), { recursive: true });
    const index = JSON.parse(await readFile(join(own, 'model_index.json'), 'utf8')) as object;
    const checker = {
      safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
      requires_safety_checker: true,
    };
    await writeFile(join(own, 'model_index.json'), JSON.stringify({ ...index, ...checker }));
    await convertPipeline(own, to);
    expect(JSON.parse(await readFile(join(to, 'model_index.json'), 'utf8'))).toEqual({
      ...index,
      safety_checker: [null, null],
      requires_safety_checker: true,
    });
    expect(await latentsOf(to)).toEqual(await latentsOf(whole));
    await rm(join(own, 'scheduler_config.json'));
    expect((await failure(convertPipeline(own, newFolder()))).message).toContain('scheduler_config.json');
  });

  it('is refused where the folder exists, and stops where it is asked to', async () => {
    const to = newFolder();
    const signal = AbortSignal.abort();
    expect((await failure(convertPipeline(whole, to, { signal }))).code).toBe('ERR_DPM_ABORTED');
    await expect(readdir(to)).rejects.toThrow('ENOENT');
    await mkdir(to);
    expect((await failure(convertPipeline(whole, to))).message).toContain('it exists');
    expect(await readdir(to)).toEqual([]);
  });

  it('takes no options of models of pixels', async () => {
    const told = await dpm('convert', whole, '--to', newFolder(), '--image-size', '32');
    expect([told.code, told.stderr]).toEqual([2, expect.stringContaining('--image-size is for models of pixels')]);
  });
});
