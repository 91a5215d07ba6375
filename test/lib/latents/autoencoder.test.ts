// Autoencoders of latent diffusion against the public library's, in double (test/fixtures/latent), and what they refuse.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { Autoencoder, Device, writeSafetensors, type HostTensor } from '../../../lib/index.js';
import {
  autoencoderGoldens,
  difference,
  expectAutoencoder,
  expectTinyAutoencoder,
  hostDevices,
  latentFixtures,
} from '../../support/latent-goldens.js';
import { Random } from '../../support/random.js';
import { temporaryFolder } from '../../support/temporary.js';

describe.each(hostDevices)('an autoencoder on $device', ({ limit, ...options }) => {
  it.each(autoencoderGoldens)('of $golden has the values of the library', async (golden) => {
    await expectAutoencoder(golden, options, limit);
  });

  it('without norms has the values of the library', async () => {
    await expectTinyAutoencoder(options, limit);
  });
});

function latentsOf(count: number): Float32Array {
  const random = new Random(3);
  return Float32Array.from({ length: count }, () => random.normal());
}

const sd1 = join(latentFixtures, 'sd1/vae');
const size = { height: 24, width: 20 };
const one = 4 * 6 * 5;
const folder = temporaryFolder();

describe('an autoencoder', () => {
  it('computes an image alone as among others', async () => {
    await using vae = await Autoencoder.load(sd1, { device: 'cpu' });
    const latents = latentsOf(3 * one);
    const all = await vae.decode(latents, size);
    const second = await vae.decode(latents.subarray(one, 2 * one), size);
    expect(second).toEqual(all.subarray(second.length, 2 * second.length));
  });

  it('shares its weights between sizes and closes what is superfluous', async () => {
    const device = Device.open({ device: 'cpu' });
    const vae = await Autoencoder.load(sd1, { device });
    await vae.decode(latentsOf(one), size);
    const used = [device.memory().host];
    for (let i = 0; i < 40; ++i) {
      const [rows, columns] = [1 + (i % 5), 1 + Math.floor(i / 5)];
      await vae.decode(latentsOf(4 * rows * columns), { height: 4 * rows, width: 4 * columns });
      used.push(device.memory().host);
    }
    // Sizes take their maps; their weights, packed again, would take as much as the first's.
    expect(Math.max(...used)).toBeLessThan(2 * used[0]!);
    await vae.close();
    expect(device.memory().host).toBe(0);
    await expect(vae.decode(latentsOf(one), size)).rejects.toThrow('the autoencoder is closed');
    await device.close();
  });

  it('loads a size once for calls that come together', async () => {
    await using vae = await Autoencoder.load(sd1, { device: 'cpu' });
    const sizes = [20, 24, 28, 32, 36, 40, 20, 24];
    const calls = sizes.map((width) => vae.decode(latentsOf(6 * width), { height: 24, width }));
    const results = await Promise.all(calls);
    expect(results.map(({ length }) => length)).toEqual(sizes.map((width) => 3 * 24 * width));
    expect(results[6]).toEqual(results[0]);
  });

  it('keeps what a diffusion knows and what its decoder takes apart', async () => {
    await using vae = await Autoencoder.load(sd1, { device: 'cpu' });
    const latents = Float32Array.of(1, -2, 0.5);
    expect(Array.from(vae.toDiffusion(latents))).toEqual([1, -2, 0.5].map((z) => Math.fround(z * 0.18215)));
    expect(difference(vae.fromDiffusion(vae.toDiffusion(latents)), latents)).toBeLessThan(1e-6);
  });

  it('shifts the latents of a diffusion before it scales them, and back', async () => {
    const place = join(folder, 'shifted');
    await cp(sd1, place, { recursive: true });
    const path = join(place, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...config, shift_factor: 0.5, scaling_factor: 2 }));
    await using vae = await Autoencoder.load(place, { device: 'cpu' });
    expect([...vae.toDiffusion(Float32Array.of(1, -2))]).toEqual([1, -5]);
    expect([...vae.fromDiffusion(Float32Array.of(1, -5))]).toEqual([1, -2]);
  });

  it('ends between tiles when it is aborted', async () => {
    await using vae = await Autoencoder.load(sd1, { device: 'cpu' });
    const stop = new AbortController();
    const call = vae.decode(latentsOf(4 * 32 * 32), { height: 128, width: 128, tile: 4, signal: stop.signal });
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });

  it('takes the largest side', async () => {
    await using vae = await Autoencoder.load(sd1, { device: 'reference' });
    await expect(vae.tileFor({ height: 16_384, width: 4 })).resolves.toBeNull();
    await expect(vae.tileFor({ height: 16_388, width: 4 })).rejects.toThrow('at most 16384');
  });

  it.each([
    [{ height: 26, width: 20 }, 'height is 26, it has to be a multiple of 4'],
    [{ height: 24, width: 0 }, 'width is 0'],
    [{ height: 4 * 8192, width: 4 }, 'at most 16384'],
    [{ height: 24, width: 20, tile: 6 }, 'tile is 6, it has to be a multiple of 4'],
    [{ height: 24, width: 24 }, 'latents have 120 elements, one has 144'],
  ])('refuses the size %j', async (options, message) => {
    await using vae = await Autoencoder.load(sd1, { device: 'reference' });
    await expect(vae.decode(latentsOf(one), options)).rejects.toThrow(message);
  });
});

describe('the folder of an autoencoder', () => {
  it('may give variances beyond every number, which are limited', async () => {
    const place = join(folder, 'wide');
    await cp(sd1, place, { recursive: true });
    const path = join(place, 'diffusion_pytorch_model.safetensors');
    const header = await readSafetensorsHeader(path);
    const tensors = new Map<string, HostTensor>();
    for (const name of header.tensors.keys()) tensors.set(name, await readFloats(header, name));
    // The last four of its channels are the logarithms of the variances.
    tensors.set('quant_conv.bias', { shape: [8], data: Float32Array.of(0, 0, 0, 0, 1000, -1000, 0, 0) });
    await writeSafetensors(path, tensors);
    await using vae = await Autoencoder.load(place, { device: 'cpu' });
    const { logVariance } = await vae.encode(new Float32Array(3 * 16), { height: 4, width: 4 });
    expect(Array.from(logVariance!.subarray(0, 2))).toEqual([20, -30]);
  });

  it.each([
    [{ scaling_factor: 0 }, 'scaling_factor is 0'],
    [{ norm_num_groups: 5 }, 'norm_num_groups is 5'],
    [{ block_out_channels: [] }, 'block_out_channels is []'],
    [{ down_block_types: ['AttnDownEncoderBlock2D'] }, 'down_block_types'],
    [{ up_block_types: ['UpDecoderBlock2D'] }, 'one block for each of the 3 levels'],
    [{ latents_mean: [1, 2, 3, 4] }, 'latents_mean'],
    [{ act_fn: 'mish' }, 'act_fn'],
    [{ _class_name: 'VQModel' }, 'VQModel'],
    [{ unheard_of: 1 }, 'unheard_of'],
    [{ layers_per_block: 2 }, 'are missing'],
    [{ latent_channels: 8 }, "tensor 'encoder.conv_out.weight'"],
    [{ use_quant_conv: false }, 'quant_conv'],
  ])('is refused with %j', async (edit, message) => {
    const place = join(folder, 'edited');
    await cp(sd1, place, { recursive: true });
    const path = join(place, 'config.json');
    const config: unknown = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...(config as object), ...edit }));
    const load = Autoencoder.load(place, { device: 'reference' });
    await expect(load).rejects.toThrow(message);
    await expect(load).rejects.toThrow(place);
  });

  it('of a small one is refused where a stage has another width', async () => {
    const place = join(folder, 'tiny');
    await cp(join(latentFixtures, 'taesd'), place, { recursive: true });
    const path = join(place, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...config, encoder_block_out_channels: [16, 16, 32, 16] }));
    await expect(Autoencoder.load(place)).rejects.toThrow('encoder_block_out_channels');
    await writeFile(path, JSON.stringify({ ...config, num_decoder_blocks: [2, 1, 1] }));
    await expect(Autoencoder.load(place)).rejects.toThrow('num_decoder_blocks');
  });
});
