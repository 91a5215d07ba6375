// Conditional U-Nets against the public library's, in double (test/fixtures/latent), and what they refuse.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { guidanceFeatures } from '../../../lib/latents/features.js';
import { ConditionalUNet, Device } from '../../../lib/index.js';
import {
  conditionalCase,
  conditionalGoldens,
  difference,
  expectConditional,
  expectSharedContexts,
  hostDevices,
  latentFixtures,
} from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';

describe.each(hostDevices)('a conditional U-Net on $device', ({ limit, ...options }) => {
  it.each(conditionalGoldens)('has the prediction of $golden', async (golden) => {
    await expectConditional(golden, options, limit);
  });

  it('predicts with shared contexts as with each sample its own', async () => {
    await expectSharedContexts(options);
  });
});

const place = (name: string): string => join(latentFixtures, name, 'unet');

describe('a conditional U-Net', () => {
  it('predicts for a sample the same alone as among others', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    const { x, t, options } = await conditionalCase('sd1/golden/unet');
    const all = await unet.forward(x, t, options);
    const context = (options.context as Float32Array).subarray(77 * 32);
    const alone = await unet.forward(x.subarray(x.length / 2), t.subarray(1), { ...options, context });
    expect(alone).toEqual(all.subarray(all.length / 2));
  });

  it('takes a context that is prepared, of any number of tokens', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    const { x, t, options } = await conditionalCase('sd1/golden/unet');
    const context = await unet.prepare(options.context as Float32Array, 2);
    expect([context.count, context.tokens]).toEqual([2, 77]);
    const expected = await unet.forward(x, t, options);
    expect(await unet.forward(x, t, { ...options, context })).toEqual(expected);
    // Twice the same tokens weigh as much as once.
    const own = options.context as Float32Array;
    const half = 77 * 32;
    const twice = Float32Array.from([own.subarray(0, half), own.subarray(0, half)].flatMap((part) => [...part]));
    const first = x.subarray(0, x.length / 2);
    const out = await unet.forward(first, t.subarray(0, 1), { ...options, context: twice });
    expect(difference(out, expected.subarray(0, out.length))).toBeLessThan(1e-5);
  });

  it('takes memory for each context once, however many states share it', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'reference' });
    const size = { height: 8, width: 8, tokens: 5, batch: 4 };
    const { data } = await unet.prepare(new Float32Array(5 * 32), 1);
    const [own, four, two, one] = [undefined, 4, 2, 1].map((contexts) => unet.bytesFor({ ...size, contexts }));
    expect(await own).toBe(await four);
    expect((await four!) - (await two!)).toBe(2 * data.byteLength);
    expect((await two!) - (await one!)).toBe(data.byteLength);
  });

  it('counts the weights for prompts as long as it has them', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    const size = { height: 8, width: 8, tokens: 5 };
    const counted = async (): Promise<number> => {
      await unet.prepare(new Float32Array(5 * 32), 1);
      return unet.bytesFor(size);
    };
    const bytes = await counted();
    await unet.releasePrompts();
    expect(await unet.bytesFor(size)).toBeLessThan(bytes);
    expect(await counted()).toBe(bytes);
  });

  it('shares its weights between sizes and lengths of contexts', async () => {
    const device = Device.open({ device: 'cpu' });
    const unet = await ConditionalUNet.load(place('sd1'), { device });
    const context = new Float32Array(77 * 32);
    await unet.forward(new Float32Array(4 * 64), 1, { height: 8, width: 8, context });
    const before = device.memory().host;
    await unet.forward(new Float32Array(4 * 48), 1, { height: 8, width: 6, context: context.subarray(0, 32 * 30) });
    expect(device.memory().host).toBeLessThan(1.6 * before);
    await unet.close();
    expect(device.memory().host).toBe(0);
    await device.close();
  });

  it('makes the features of a guidance weight that the library makes', async () => {
    await using unet = await ConditionalUNet.load(place('lcm'), { device: 'cpu' });
    const { x, t, options } = await conditionalCase('lcm/golden/unet');
    const features = guidanceFeatures(7.5, 32);
    // 1000 (w - 1) = 6500 at the first frequency, and at the last, 1e-4, 0.65.
    expect(features[0]).toBeCloseTo(Math.sin(6500), 6);
    expect(features[15]).toBeCloseTo(Math.sin(0.65), 5);
    expect(features[31]).toBeCloseTo(Math.cos(0.65), 5);
    expect([guidanceFeatures(7.5, 5).length, guidanceFeatures(7.5, 5)[4]]).toEqual([5, 0]);
    const given = { ...options, guidanceFeatures: Float32Array.from([...features, ...guidanceFeatures(1, 32)]) };
    const byWeight = await unet.forward(x, t, { ...options, guidanceFeatures: undefined, guidance: [7.5, 1] });
    expect(byWeight).toEqual(await unet.forward(x, t, given));
  });

  it.each([
    ['sd1', { context: new Float32Array(33) }, 'the context has 33 numbers'],
    ['sd1', { height: 5 }, 'x has 1024 elements'],
    ['sd1', { pooled: new Float32Array(4) }, 'leave pooled and sizes out'],
    ['sd1', { classVectors: new Float32Array(4) }, 'leave classVectors out'],
    ['sd1', { classLabels: [1, 2] }, 'leave the classes (classLabels) out'],
    ['sd1', { guidance: 2 }, 'leave guidance out'],
    ['sd1', { contextIndices: [0] }, 'contextIndices has 1 numbers for 2 samples'],
    ['sd1', { contextIndices: [0, 1, 0] }, 'contextIndices has 3 numbers for 2 samples'],
    ['sd1', { contextIndices: [0, -1] }, 'contextIndices[1] is -1'],
    ['sd1', { contextIndices: [0.5, 0] }, 'contextIndices[0] is 0.5'],
    ['sd1', { contextIndices: [0, 2] }, 'contexts of tokens of 32 have others'],
    ['lcm', { guidanceFeatures: undefined }, 'guidance has 0 weights for 2 samples'],
    ['lcm', { guidanceFeatures: new Float32Array(3) }, 'guidanceFeatures has 3 elements'],
    ['sdxl', { pooled: undefined }, 'pooled has 0 elements'],
    ['sdxl', { sizes: undefined }, 'sizes has 0 numbers'],
    ['sdxl', { sizes: [1, 2, 3] }, 'sizes has 3 numbers'],
  ] as const)('of %s refuses %o', async (model, changed, message) => {
    await using unet = await ConditionalUNet.load(place(model), { device: 'cpu' });
    const { x, t, options } = await conditionalCase(`${model}/golden/unet`);
    await expect(unet.forward(x, t, { ...options, ...changed })).rejects.toThrow(message);
  });

  it('refuses the context of another network, and of another number of samples', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    await using other = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    const { x, t, options } = await conditionalCase('sd1/golden/unet');
    const theirs = await other.prepare(options.context as Float32Array, 2);
    await expect(unet.forward(x, t, { ...options, context: theirs })).rejects.toThrow('not one that this network made');
    const one = await unet.prepare((options.context as Float32Array).subarray(77 * 32), 1);
    await expect(unet.forward(x, t, { ...options, context: one })).rejects.toThrow('for 2 samples');
    const shared = { ...options, context: one, contextIndices: [0, 1] };
    await expect(unet.forward(x, t, shared)).rejects.toThrow('for 2 samples');
  });

  it('frees weights, those of prompts alone or all, and loads them again', async () => {
    const device = Device.open({ device: 'cpu' });
    await using unet = await ConditionalUNet.load(place('sd1'), { device });
    const { x, t, options } = await conditionalCase('sd1/golden/unet');
    const context = await unet.prepare(options.context as Float32Array, 2);
    const prompts = device.memory().host;
    const out = await unet.forward(x, t, { ...options, context });
    const both = device.memory().host;
    await unet.releasePrompts();
    expect(device.memory().host).toBeLessThan(both);
    expect(device.memory().host).toBeGreaterThan(prompts);
    expect(await unet.forward(x, t, { ...options, context })).toEqual(out);
    const running = unet.forward(x, t, options);
    await unet.release();
    // What is being computed keeps its weights.
    expect(await running).toEqual(out);
    await unet.release();
    expect(device.memory().host).toBe(0);
    expect(await unet.forward(x, t, options)).toEqual(out);
    await unet.close();
    await device.close();
  });

  it('tells what evaluations take in memory', async () => {
    await using unet = await ConditionalUNet.load(place('sd1'), { device: 'cpu' });
    const size = { height: 8, width: 8 };
    const [one, three] = [await unet.bytesFor(size), await unet.bytesFor({ ...size, batch: 3 })];
    const larger = await unet.bytesFor({ height: 16, width: 8, batch: 1 });
    expect(one).toBeGreaterThan(2 * unet.parameters);
    expect(three).toBeGreaterThan(one);
    // Maps grow with the size, weights and what is seen of the text do not.
    const largest = await unet.bytesFor({ height: 32, width: 8 });
    expect((largest - larger) / (larger - one)).toBeCloseTo(2, 1);
    expect(larger).toBeGreaterThan(one);
    expect(await unet.bytesFor({ ...size, tokens: 154 })).toBeGreaterThanOrEqual(one);
    await expect(unet.bytesFor({ height: 4097, width: 8 })).rejects.toThrow('at most 4096, not 4097 and 8');
    await expect(unet.bytesFor({ height: 1, width: 5000 })).rejects.toThrow('at most 4096, not 1 and 5000');
    expect(await unet.bytesFor({ height: 4096, width: 2 })).toBeGreaterThan(largest);
    await expect(unet.bytesFor({ ...size, tokens: 0 })).rejects.toThrow('tokens');
  });
});

describe('the folder of a conditional U-Net', () => {
  const folder = temporaryFolder();

  it.each([
    [{ attention_head_dim: 5 }, 'attention_head_dim'],
    [{ attention_head_dim: [4, 4, 4] }, 'attention_head_dim'],
    [{ block_out_channels: [] }, 'block_out_channels'],
    [{ down_block_types: ['DownBlock2D'] }, 'one block for each of 2 levels'],
    [{ up_block_types: ['UpBlock2D', 'SimpleCrossAttnUpBlock2D'] }, 'SimpleCrossAttnUpBlock2D'],
    [{ mid_block_type: 'UNetMidBlock2DSimpleCrossAttn' }, 'mid_block_type'],
    [{ cross_attention_dim: [32, 48] }, 'cross_attention_dim'],
    [{ cross_attention_dim: 48 }, 'attn2.to_k'],
    [{ num_attention_heads: 8 }, 'num_attention_heads'],
    [{ encoder_hid_dim_type: 'text_proj' }, 'encoder_hid_dim_type'],
    [{ addition_embed_type: 'image' }, 'addition_embed_type'],
    [{ addition_embed_type: 'text_time' }, 'projection_class_embeddings_input_dim'],
    [{ class_embed_type: 'timestep' }, 'class_embed_type'],
    [{ only_cross_attention: [true] }, 'only_cross_attention'],
    [{ transformer_layers_per_block: [[1], [2]] }, 'transformer_layers_per_block'],
    [{ time_embedding_type: 'fourier' }, 'time_embedding_type'],
    [{ conv_in_kernel: 4 }, 'conv_in_kernel'],
    [{ norm_num_groups: 5 }, 'norm_num_groups'],
    [{ resnet_time_scale_shift: 'ada_group' }, 'resnet_time_scale_shift'],
    [{ unheard_of: 1 }, 'unheard_of'],
    [{ layers_per_block: 2 }, 'are missing'],
    [{ num_class_embeds: 4 }, 'class_embedding.weight'],
    [{ use_linear_projection: 1 }, 'use_linear_projection'],
  ])('is refused with %j', async (edit, message) => {
    const edited = join(folder, 'edited');
    await cp(place('sd1'), edited, { recursive: true });
    const path = join(edited, 'config.json');
    await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), ...edit }));
    const load = ConditionalUNet.load(edited, { device: 'reference' });
    await expect(load).rejects.toThrow(message);
    await expect(load).rejects.toThrow(edited);
  });
});
