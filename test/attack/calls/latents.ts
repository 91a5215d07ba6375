// Calls of the networks of latent diffusion, whose folders are given, too.
import * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

export function pipelineCalls(
  { pipeline, batcher }: { pipeline: dpm.TextToImage; batcher: dpm.PromptBatcher },
  place: string,
  embedding: string,
): PublicCall[] {
  const controls = [{ image: new Float32Array(192), scale: 0.5, start: 0, end: 1 }];
  const loras = [{ path: `${place}/lora/kohya.safetensors`, scale: 0.5, allowPartial: true }];
  const request = { prompt: 'a', steps: 1, height: 8, width: 8, output: 'latents', sampler: 'ddim', eta: 0.5, loras };
  const run = { prompt: 'a', steps: 1, height: 8, width: 8, output: 'latents', controls };
  return [
    of('TextToImage.load', async (path: never, options: never) => (await dpm.TextToImage.load(path, options)).close(), [
      place,
      {
        device: 'cpu',
        threads: 1,
        prediction: 'epsilon',
        unet: `${place}/unet`,
        loras: [{ path: `${place}/lora/kohya.safetensors`, scale: 0.5, allowPartial: false }],
        controlNets: [`${place}/../controlnet/controlnet-a`],
        embeddings: [{ path: embedding, token: '<thing>' }],
        vae: `${place}/vae`,
        textEncoder: `${place}/text_encoder`,
        tokenizer: [`${place}/tokenizer`],
      },
    ]),
    of(
      'TextToImage.load: of a file',
      async (path: never, options: never) => (await dpm.TextToImage.load(path, options)).close(),
      [`${place}-single/model.safetensors`, { device: 'cpu', threads: 1, config: place, ema: false }],
    ),
    of('TextToImage.tokenize', (text: never) => pipeline.tokenize(text), ['a cat']),
    of('TextToImage.encodePrompt', (text: never) => pipeline.encodePrompt(text), ['a cat']),
    of('TextToImage.setLoras', (loras: never) => pipeline.setLoras(loras), [
      [{ path: `${place}/lora/kohya.safetensors`, scale: 0.5, allowPartial: true }],
    ]),
    of('TextToImage.generate', (options: never) => pipeline.generate(options), [run]),
    of('TextToImage.program', (options: never) => pipeline.program(options), [{ sampler: 'ddim', steps: 2, eta: 0.5 }]),
    of('TextToImage.digest', () => pipeline.digest(), []),
    of('TextToImage.memory', () => pipeline.memory(), []),
    of('TextToImage.batcher', async (options: never) => (await pipeline.batcher(options)).close(), [
      { rows: 1, slots: 2, batches: 1, promptSlots: 1, maxWait: 1000 },
    ]),
    of('PromptBatcher.generate', (request: never) => batcher.generate(request), [request]),
    of(
      'PromptBatcher.stream',
      async (request: never) => {
        for await (const _ of batcher.stream(request)) break;
      },
      [request],
    ),
    of('PromptBatcher.prepare', (size: never) => batcher.prepare(size), [{ height: 8, width: 8 }]),
    of('PromptBatcher.expectedWait', (client: never) => batcher.expectedWait(client), [{}], {
      0: ['tenant', 'priority'],
    }),
    of('PromptBatcher.requireRoom', (client: never) => batcher.requireRoom(client), [{}], {
      0: ['tenant', 'priority'],
    }),
    of('isPipeline', (path: never) => dpm.isPipeline(path), [place]),
    of('TextToImage.invert', (options: never) => pipeline.invert(options), [
      { prompt: 'a', image: new Float32Array(16), steps: 1, height: 8, width: 8, iterations: 1, guidance: 2, controls },
    ]),
    of('TextToImage.run', (program: never, options: never) => pipeline.run(program, options), [
      dpm.samplers.ddim(pipeline.schedule, { steps: 1, clip: 'none' }),
      { prompt: 'a', height: 8, width: 8, output: 'latents', controls },
    ]),
    of('estimateLatentGamma', dpm.estimateLatentGamma, [
      pipeline,
      new Float32Array(16),
      { prompt: 'a', timesteps: [1], height: 8, width: 8 },
    ]),
    of(
      'TextToImage.stream',
      async (options: never) => {
        for await (const _ of pipeline.stream(options)) break;
      },
      [run],
    ),
  ];
}

export function latentCalls(
  {
    vae,
    encoder,
    unet,
    picture,
    prior,
  }: {
    vae: dpm.Autoencoder;
    encoder: dpm.ClipTextEncoder;
    unet: dpm.ConditionalUNet;
    picture: dpm.PreparedControl;
    prior: dpm.DiffusionPrior;
  },
  folders: Readonly<Record<'vae' | 'encoder' | 'unet' | 'control' | 'prior' | 'file' | 'pipeline', string>>,
): PublicCall[] {
  const size = { height: 8, width: 4 };
  return [
    of(
      'Autoencoder.load: of a file',
      async (path: never, options: never) => (await dpm.Autoencoder.load(path, options)).close(),
      [folders.file, { device: 'cpu', threads: 1, config: folders.pipeline }],
    ),
    of(
      'ConditionalUNet.load: of a file',
      async (path: never, options: never) => (await dpm.ConditionalUNet.load(path, options)).close(),
      [folders.file, { device: 'cpu', threads: 1, config: folders.pipeline, ema: false }],
    ),
    of('Autoencoder.load', async (path: never, options: never) => (await dpm.Autoencoder.load(path, options)).close(), [
      folders.vae,
      { device: 'cpu', threads: 1 },
    ]),
    of('Autoencoder.decode', (latents: never, options: never) => vae.decode(latents, options), [
      new Float32Array(8),
      size,
    ]),
    of('Autoencoder.encode', (images: never, options: never) => vae.encode(images, options), [
      new Float32Array(96),
      size,
    ]),
    of('Autoencoder.tileFor', (sides: never) => vae.tileFor(sides), [size]),
    of('Autoencoder.bytesFor', (size: never) => vae.bytesFor(size), [{ ...size, tile: 4, batch: 1 }]),
    of('Autoencoder.toDiffusion', (latents: never) => vae.toDiffusion(latents), [new Float32Array(8)]),
    of('Autoencoder.fromDiffusion', (latents: never) => vae.fromDiffusion(latents), [new Float32Array(8)]),
    of(
      'ClipTextEncoder.load',
      async (path: never, options: never) => (await dpm.ClipTextEncoder.load(path, options)).close(),
      [folders.encoder, { device: 'cpu', threads: 1 }],
    ),
    of('ClipTextEncoder.encode', (ids: never, options: never) => encoder.encode(ids, options), [
      new Int32Array(77),
      {},
    ]),
    of('ClipTextEncoder.bytesFor', (size: never) => encoder.bytesFor(size), [
      { skippedLayers: 1, normed: true, batch: 1 },
    ]),
    of(
      'ConditionalUNet.load',
      async (path: never, options: never) => (await dpm.ConditionalUNet.load(path, options)).close(),
      [folders.unet, { device: 'cpu', threads: 1, controlNets: [folders.control] }],
    ),
    of('ConditionalUNet.bytesFor', (size: never) => unet.bytesFor(size), [
      { height: 2, width: 4, tokens: 2, batch: 1, contexts: 1, controlScales: [1] },
    ]),
    of('ConditionalUNet.promptBytesFor', (tokens: never) => unet.promptBytesFor(tokens), [2]),
    of('ConditionalUNet.prepare', (context: never, count: never) => unet.prepare(context, count), [
      new Float32Array(64),
      2,
    ]),
    of(
      'ConditionalUNet.prepareControl',
      (index: never, pictures: never, sides: never) => unet.prepareControl(index, pictures, sides),
      [0, new Float32Array(96), size],
    ),
    of('ConditionalUNet.forward', (x: never, t: never, options: never) => unet.forward(x, t, options), [
      new Float32Array(4 * 8),
      1,
      {
        height: 2,
        width: 4,
        context: new Float32Array(64),
        contextIndices: [0],
        controls: [{ picture, scale: 1 }],
        controlIndices: [0],
      },
    ]),
    of(
      'DiffusionPrior.load',
      async (path: never, options: never) => (await dpm.DiffusionPrior.load(path, options)).close(),
      [folders.prior, { device: 'cpu', threads: 1 }],
    ),
    of('DiffusionPrior.forward', (x: never, t: never, options: never) => prior.forward(x, t, options), [
      new Float32Array(24),
      1,
      { hidden: new Float32Array(77 * 24), pooled: new Float32Array(24), mask: new Array<number>(77).fill(1) },
    ]),
    of('DiffusionPrior.fromDiffusion', (x: never) => prior.fromDiffusion(x), [new Float32Array(24)]),
  ];
}
