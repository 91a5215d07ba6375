// Calls of the networks of latent diffusion that answer later, with inputs that may be spoiled.
import * as dpm from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';
import { normals, of, type SpoiledCase } from './spoiled-case.js';

/** The networks that are called. */
export interface LatentNetworks {
  readonly prompts: dpm.PromptBatcher;
  readonly vae: dpm.Autoencoder;
  readonly encoder: dpm.ClipTextEncoder;
  readonly conditional: dpm.ConditionalUNet;
  readonly prior: dpm.DiffusionPrior;
  readonly pipeline: dpm.TextToImage;
}

/** Opens small networks on a device. */
export async function openLatents(device: dpm.Device): Promise<LatentNetworks> {
  const at = (name: string): string => packagePath(`test/fixtures/latent/${name}`);
  const served = await dpm.TextToImage.load(at('sd1'), { device });
  return {
    prompts: await served.batcher(),
    vae: await dpm.Autoencoder.load(at('sd1/vae'), { device }),
    encoder: await dpm.ClipTextEncoder.load(at('sd1/text_encoder'), { device }),
    conditional: await dpm.ConditionalUNet.load(at('sdxl/unet'), { device }),
    prior: await dpm.DiffusionPrior.load(at('prior/prior'), { device }),
    pipeline: await dpm.TextToImage.load(at('sd1'), { device, controlNets: [at('controlnet/controlnet-a')] }),
  };
}

/** @param networks - Gives the networks, which are opened later than the cases are listed. */
export const latentCases = (networks: () => LatentNetworks): Record<string, SpoiledCase> => ({
  'Autoencoder.decode': of(
    (latents, options) => networks().vae.decode(latents, options),
    () => [normals(2 * 4 * 8 * 8), { height: 32, width: 32, tile: 4 }],
  ),
  'Autoencoder.encode': of(
    (given, options) => networks().vae.encode(given, options),
    () => [normals(3 * 16 * 16), { height: 16, width: 16 }],
  ),
  'Autoencoder.tileFor': of(
    (sides) => networks().vae.tileFor(sides),
    () => [{ height: 16, width: 16 }],
  ),
  'Autoencoder.bytesFor': of(
    (size) => networks().vae.bytesFor(size),
    () => [{ height: 16, width: 16, tile: 4, batch: 2 }],
  ),
  'TextToImage.encodePrompt': of(
    (text) => networks().pipeline.encodePrompt(text),
    () => ['a cat'],
  ),
  'TextToImage.setLoras': of(
    async (loras) => {
      const { pipeline } = networks();
      await pipeline.setLoras(loras);
      const { latents } = await pipeline.generate({ prompt: 'a cat', steps: 1, height: 8, width: 8 });
      await pipeline.setLoras([]);
      return latents;
    },
    () => [[{ path: packagePath('test/fixtures/latent/sd1/lora/kohya.safetensors'), scale: 0.5 }]],
  ),
  'TextToImage.generate': of(
    (options) => networks().pipeline.generate(options),
    () => [
      {
        prompt: ['a cat', 'a dog'],
        negativePrompt: ['blurry', ''],
        steps: 2,
        sampler: 'ddpm',
        height: 16,
        width: 16,
        init: normals(2 * 4 * 16),
        noise: [normals(2 * 4 * 16, 2)],
        sizes: [16, 16, 0, 0, 16, 16],
        negativeSizes: [16, 16, 0, 0, 16, 16],
        guidance: [4, 2],
        seed: [1, 2n],
        controls: [{ image: normals(2 * 3 * 16 * 16, 3), scale: 0.5 }],
      },
    ],
  ),
  'TextToImage.batcher': of(
    async (options) => {
      await using batcher = await networks().pipeline.batcher(options);
      return Float32Array.of(batcher.capacity.rows, batcher.capacity.slots);
    },
    () => [{ rows: 2, slots: 3, batches: 2, promptSlots: 1 }],
  ),
  'PromptBatcher.prepare': of(
    async (size) => {
      await networks().prompts.prepare(size);
      return networks().prompts.stats().batches;
    },
    () => [{ height: 16, width: 16 }],
  ),
  'PromptBatcher.generate': of(
    (request) => networks().prompts.generate(request),
    () => [
      {
        prompt: ['a cat', 'a dog'],
        negativePrompt: ['blurry', ''],
        steps: 2,
        sampler: 'ddpm',
        height: 16,
        width: 16,
        init: normals(2 * 4 * 16),
        noise: [normals(2 * 4 * 16, 2)],
        guidance: [4, 2],
        seed: [1, 2n],
        loras: [{ path: packagePath('test/fixtures/latent/sd1/lora/kohya.safetensors'), scale: 0.5 }],
      },
    ],
  ),
  isPipeline: of(
    async (path) => Number(await dpm.isPipeline(path)),
    () => [packagePath('test/fixtures/latent/sd1')],
  ),
  'ImageBatch.decode': of(
    async (bytes, like) => (await dpm.ImageBatch.decode(bytes, like)).data,
    () => [
      new dpm.ImageBatch(normals(3 * 16), [1, 3, 4, 4]).toPng(),
      { sampleShape: [3, 4, 4], range: [0, 1] as [number, number] },
    ],
  ),
  'ImageBatch.decodeMask': of(
    async (bytes) => (await dpm.ImageBatch.decodeMask(bytes)).data,
    () => [new dpm.ImageBatch(normals(16), [1, 1, 4, 4]).toPng()],
  ),
  'TextToImage.invert': of(
    (options) => networks().pipeline.invert(options),
    () => [
      {
        prompt: ['a cat', 'a dog'],
        negativePrompt: ['blurry', ''],
        image: normals(2 * 4 * 16),
        steps: 2,
        iterations: 2,
        height: 16,
        width: 16,
        sizes: [16, 16, 0, 0, 16, 16],
        negativeSizes: [16, 16, 0, 0, 16, 16],
        guidance: [4, 2],
        batch: 1,
        controls: [{ image: normals(3 * 16 * 16, 3), scale: 0.5 }],
      },
    ],
  ),
  'TextToImage.run': of(
    (program, options) => networks().pipeline.run(program, options),
    () => [
      dpm.samplers.ddim(networks().pipeline.schedule, { steps: 2, eta: 1, clip: 'none' }),
      {
        prompt: ['a cat'],
        height: 16,
        width: 16,
        init: normals(64),
        noise: normals(64, 2),
        output: 'latents',
        controls: [{ image: normals(3 * 16 * 16, 3), end: 0.5 }],
      },
    ],
  ),
  estimateLatentGamma: of(
    (given, options) => dpm.estimateLatentGamma(networks().pipeline, given, options),
    () => [normals(2 * 4 * 16), { prompt: ['a cat', 'a dog'], timesteps: [10, 500], height: 16, width: 16 }],
  ),
  'TextToImage.stream': of(
    async (options) => {
      const found = [];
      for await (const { latents } of networks().pipeline.stream(options)) found.push(latents);
      return found;
    },
    () => [
      {
        prompt: ['a cat', 'a dog'],
        negativePrompt: ['blurry', ''],
        steps: 2,
        sampler: 'ddpm',
        height: 16,
        width: 16,
        batch: 1,
        output: 'latents',
        noise: normals(2 * 2 * 4 * 16, 2),
        guidance: [4, 2],
        seed: [1, 2n],
      },
    ],
  ),
  'ConditionalUNet.forward': of(
    (x, t, options) => networks().conditional.forward(x, t, options),
    () => [
      normals(2 * 4 * 6 * 4),
      [981, 20],
      {
        height: 6,
        width: 4,
        context: normals(2 * 7 * 80, 2),
        pooled: normals(2 * 48, 3),
        sizes: [6, 4, 0, 0, 6, 4, 6, 4, 1, 2, 6, 4],
        contextIndices: [1, 0],
      },
    ],
  ),
  'ConditionalUNet.prepareControl': of(
    async (index, pictures, size) => (await networks().pipeline.unet.prepareControl(index, pictures, size)).data,
    () => [0, normals(2 * 3 * 16 * 8), { height: 16, width: 8 }],
  ),
  'ConditionalUNet.bytesFor': of(
    (size) => networks().pipeline.unet.bytesFor(size),
    () => [{ height: 4, width: 4, tokens: 77, batch: 2, contexts: 1, controlScales: [0.5] }],
  ),
  'ConditionalUNet.promptBytesFor': of(
    (tokens) => networks().pipeline.unet.promptBytesFor(tokens),
    () => [77],
  ),
  'ConditionalUNet.prepare': of(
    async (context, count) => (await networks().conditional.prepare(context, count)).data,
    () => [normals(2 * 7 * 80), 2],
  ),
  'DiffusionPrior.forward': of(
    (x, t, options) => networks().prior.forward(x, t, options),
    () => [
      normals(2 * 24),
      [999, 500],
      {
        hidden: normals(2 * 77 * 24, 2),
        pooled: normals(2 * 24, 3),
        mask: Array.from({ length: 2 * 77 }, (_, i) => (i % 77 < 5 ? 1 : 0)),
      },
    ],
  ),
  'ClipTextEncoder.encode': of(
    (ids, options) => networks().encoder.encode(ids, options),
    () => [Int32Array.from({ length: 77 }, (_, i) => i), { skippedLayers: 1, normed: false }],
  ),
  'ClipTextEncoder.bytesFor': of(
    (size) => networks().encoder.bytesFor(size),
    () => [{ skippedLayers: 1, normed: true, batch: 2 }],
  ),
});
