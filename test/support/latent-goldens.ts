// Golden networks of latent diffusion (test/fixtures/latent), whatever the device.
import { join } from 'node:path';

import { expect } from 'vitest';

import { readSafetensorsHeader } from '../../lib/files/safetensors.js';
import { readFloats } from '../../lib/files/tensor-data.js';
import {
  Autoencoder,
  ClipTextEncoder,
  ConditionalUNet,
  DiffusionPrior,
  type LatentNetworkOptions,
  type LoraOptions,
  type ConditionalForwardOptions,
} from '../../lib/index.js';
import { packagePath } from './temporary.js';
import { largest, readTensors, tensorReader } from './tensors.js';

export const latentFixtures = packagePath('test/fixtures/latent');

/** Devices without a card, and their limits of differences. */
export const hostDevices = [
  { device: 'reference', limit: 1e-6 },
  { device: 'cpu', exact: true, limit: 2e-5 },
  { device: 'cpu', limit: 5e-5 },
] as const;

/** Largest difference over the largest value. */
export function difference(own: Float32Array, golden: Float32Array): number {
  expect(own.length).toBe(golden.length);
  return largest(own.map((value, i) => value - golden[i]!)) / largest(golden);
}

/** Autoencoders, with the tensors of a golden file, the sides of its images and of its tiles. */
export const autoencoderGoldens = [
  { model: 'sd1', golden: 'sd1/golden/vae', height: 24, width: 20 },
  { model: 'sd2', golden: 'sd2/golden/vae', height: 24, width: 20 },
  { model: 'sd1', golden: 'sizes/vae-sd1-40x56', height: 40, width: 56 },
  { model: 'sd2', golden: 'sizes/vae-sd2-36x52', height: 36, width: 52 },
  { model: 'sdxl', golden: 'sizes/vae-sdxl-26x18', height: 26, width: 18 },
];

/** Compares means, variances and images, whole and in tiles, with those of a golden file. */
export async function expectAutoencoder(
  { model, golden, ...size }: (typeof autoencoderGoldens)[number],
  options: LatentNetworkOptions,
  limit: number,
): Promise<void> {
  const expected = await readTensors(join(latentFixtures, `${golden}.safetensors`));
  await using vae = await Autoencoder.load(join(latentFixtures, model, 'vae'), options);
  const { mean, logVariance } = await vae.encode(expected.image!, size);
  expect(difference(mean, expected.mean!)).toBeLessThan(limit);
  expect(difference(logVariance!, expected.logvar!)).toBeLessThan(limit);
  expect(difference(await vae.decode(expected.latents!, size), expected.decoded!)).toBeLessThan(limit);
  if (expected.tile === undefined) return;
  const tiled = { ...size, tile: expected.tile[0]! };
  expect(difference((await vae.encode(expected.image!, tiled)).mean, expected.mean_tiled!)).toBeLessThan(limit);
  expect(difference(await vae.decode(expected.latents!, tiled), expected.decoded_tiled!)).toBeLessThan(limit);
}

/** Compares latents and images of the small autoencoder. */
export async function expectTinyAutoencoder(options: LatentNetworkOptions, limit: number): Promise<void> {
  const expected = await readTensors(join(latentFixtures, 'taesd/golden.safetensors'));
  await using vae = await Autoencoder.load(join(latentFixtures, 'taesd'), options);
  const size = { height: 32, width: 48 };
  const { mean, logVariance } = await vae.encode(expected.image!, size);
  expect(logVariance).toBeNull();
  expect(difference(mean, expected.encoded!)).toBeLessThan(limit);
  expect(difference(await vae.decode(expected.latents!, size), expected.decoded!)).toBeLessThan(limit);
}

/** Text encoders, and what the names of their golden tensors end with. */
export const textEncoderGoldens = [
  { model: 'sd1', encoder: 'text_encoder', suffix: '' },
  { model: 'sd2', encoder: 'text_encoder', suffix: '' },
  { model: 'sdxl', encoder: 'text_encoder', suffix: '' },
  { model: 'sdxl', encoder: 'text_encoder_2', suffix: '_2' },
];

/** Reads the ids of the golden texts. */
export async function goldenIds({ model, suffix }: { model: string; suffix: string }): Promise<Int32Array> {
  const tensor = tensorReader(join(latentFixtures, model, 'golden/text.safetensors'));
  return Int32Array.from(await tensor(`input_ids${suffix}`, ['I64']));
}

/** Compares the states of a text encoder, behind the last layer and before it, and the pooled ones. */
export async function expectTextEncoder(
  golden: (typeof textEncoderGoldens)[number],
  options: LatentNetworkOptions,
  limit: number,
): Promise<void> {
  const { model, encoder, suffix } = golden;
  const tensor = tensorReader(join(latentFixtures, model, 'golden/text.safetensors'));
  const ids = await goldenIds(golden);
  await using text = await ClipTextEncoder.load(join(latentFixtures, model, encoder), options);
  const last = await text.encode(ids);
  expect(difference(last.hidden, await tensor(`last_hidden_state${suffix}`))).toBeLessThan(limit);
  expect(difference(last.pooled, await tensor(`pooled${suffix}`))).toBeLessThan(limit);
  const before = await text.encode(ids, { skippedLayers: 1, normed: false });
  expect(difference(before.hidden, await tensor(`penultimate${suffix}`))).toBeLessThan(limit);
  expect(before.pooled).toEqual(last.pooled);
}

/** Conditional U-Nets: the folder of the network, and a golden file of it. */
export const conditionalGoldens = [
  ...['sd1', 'sd2', 'sdxl', 'lcm', 'sd1-inpaint', 'sdxl-refiner'].map((model) => ({
    unet: `${model}/unet`,
    golden: `${model}/golden/unet`,
  })),
  ...['no-middle', 'odd-size', 'only-cross', 'scale-shift', 'unclip'].map((name) => ({
    unet: `switches/${name}/unet`,
    golden: `switches/${name}/unet`,
  })),
  { unet: 'sd1/unet', golden: 'sizes/unet-sd1-5x9' },
  { unet: 'sd1/unet', golden: 'sizes/unet-sd1-20x6' },
  { unet: 'sdxl/unet', golden: 'sizes/unet-sdxl-7x13' },
];

/** An evaluation of a conditional U-Net, and what the library makes of it. */
export interface ConditionalCase {
  x: Float32Array;
  t: Float32Array;
  options: ConditionalForwardOptions;
  out: Float32Array;
}

/** Reads the evaluation of a golden file. */
export async function conditionalCase(golden: string): Promise<ConditionalCase> {
  const header = await readSafetensorsHeader(join(latentFixtures, `${golden}.safetensors`));
  const read = async (name: string): Promise<Float32Array> => (await readFloats(header, name)).data;
  const optional = async (name: string): Promise<Float32Array | undefined> =>
    header.tensors.has(name) ? read(name) : undefined;
  const [, , height = 0, width = 0] = header.tensors.get('x')!.shape;
  // Labels are integers, vectors of classes are not.
  const classes = await optional('class_labels');
  const areLabels = header.tensors.get('class_labels')?.dtype === 'I64';
  const options = {
    height,
    width,
    context: await read('encoder_hidden_states'),
    pooled: await optional('text_embeds'),
    sizes: await optional('time_ids'),
    guidanceFeatures: await optional('timestep_cond'),
    ...(areLabels ? { classLabels: classes } : { classVectors: classes }),
  };
  return { x: await read('x'), t: await read('t'), options, out: await read('out') };
}

/** Compares the prediction of a conditional U-Net with that of a golden file. */
export async function expectConditional(
  { unet, golden }: (typeof conditionalGoldens)[number],
  options: LatentNetworkOptions,
  limit: number,
): Promise<void> {
  const { x, t, options: given, out } = await conditionalCase(golden);
  await using network = await ConditionalUNet.load(join(latentFixtures, unet), options);
  expect(difference(await network.forward(x, t, given), out)).toBeLessThan(limit);
}

/** Compares what samples that share contexts are given with what each is given with its own, to the bit. */
export async function expectSharedContexts(options: LatentNetworkOptions): Promise<void> {
  const { x, t, options: given } = await conditionalCase('sd1/golden/unet');
  const contexts = given.context as Float32Array;
  const half = contexts.length / 2;
  await using network = await ConditionalUNet.load(join(latentFixtures, 'sd1/unet'), options);
  const three = { x: Float32Array.from([...x, ...x.subarray(0, x.length / 2)]), t: Float32Array.from([...t, 7]) };
  for (const contextIndices of [[1, 0, 1], [0, 0, 0], new Uint8Array([1, 1, 0])]) {
    const own = Array.from(contextIndices, (k) => [...contexts.subarray(k * half, (k + 1) * half)]).flat();
    const expected = await network.forward(three.x, three.t, { ...given, context: Float32Array.from(own) });
    const shared = { ...given, contextIndices };
    const context = await network.prepare(contexts, 2);
    expect(await network.forward(three.x, three.t, { ...shared, context })).toEqual(expected);
    const used = contexts.subarray(0, (Math.max(...contextIndices) + 1) * half);
    expect(await network.forward(three.x, three.t, { ...shared, context: used })).toEqual(expected);
  }
}

/** ControlNets, whose golden files bear their names, and their U-Nets. */
export const controlGoldens = [
  { name: 'controlnet-a', model: 'sd1' },
  { name: 'controlnet-b', model: 'sd1' },
  { name: 'sdxl', model: 'sdxl' },
];

/** Reads an evaluation with a ControlNet, and the pictures that it sees. */
export async function controlledCase(name: string): Promise<ConditionalCase & { pictures: Float32Array }> {
  const pictures = await tensorReader(join(latentFixtures, `controlnet/${name}.safetensors`))('controlnet_cond');
  return { ...(await conditionalCase(`controlnet/${name}`)), pictures };
}

/** Compares predictions with a ControlNet, whole and in part, with those of a golden file, and without it with the U-Net's. */
export async function expectControlled(
  { name, model }: (typeof controlGoldens)[number],
  options: LatentNetworkOptions,
  limit: number,
): Promise<void> {
  const path = join(latentFixtures, 'controlnet', name);
  const place = join(latentFixtures, model, 'unet');
  const { x, t, options: given, pictures, out } = await controlledCase(name);
  await using unet = await ConditionalUNet.load(place, { ...options, controlNets: [path] });
  const factor = unet.controlNets[0]!.factor;
  const sides = { height: given.height * factor, width: given.width * factor };
  const picture = await unet.prepareControl(0, pictures, sides);
  const predicted = (scale?: number): Promise<Float32Array> =>
    unet.forward(x, t, { ...given, controls: [{ picture, scale }] });
  expect(difference(await predicted(), out)).toBeLessThan(limit);
  expect(difference(await predicted(0.6), await tensorReader(`${path}.safetensors`)('out.0.6'))).toBeLessThan(limit);
  await using alone = await ConditionalUNet.load(place, options);
  expect(await predicted(0)).toEqual(await alone.forward(x, t, given));
}

/** Finds a file of low-rank additions. */
export function loraFile(model: string, name: string): string {
  return join(latentFixtures, model, 'lora', `${name}.safetensors`);
}

/** Low-rank additions to sd1, by the names of their golden tensors. */
export const loraGoldens: readonly { name: string; loras: readonly LoraOptions[] }[] = [
  { name: 'kohya-0.6', loras: [{ path: loraFile('sd1', 'kohya'), scale: 0.6 }] },
  { name: 'kohya-1', loras: [{ path: loraFile('sd1', 'kohya') }] },
  { name: 'peft-1', loras: [{ path: loraFile('sd1', 'peft') }] },
  { name: 'peft-no-alpha-0.5', loras: [{ path: loraFile('sd1', 'peft-no-alpha'), scale: 0.5 }] },
  { name: 'processor-1', loras: [{ path: loraFile('sd1', 'processor') }] },
  {
    name: 'kohya-0.8+peft-0.5',
    loras: [
      { path: loraFile('sd1', 'kohya'), scale: 0.8 },
      { path: loraFile('sd1', 'peft'), scale: 0.5 },
    ],
  },
];

/** Reads the tensors of a golden file of additions, but for ids. */
export async function goldenNumbers(path: string): Promise<Record<string, Float32Array>> {
  return readTensors(path, (name) => !name.startsWith('input_ids'));
}

/** Evaluates a U-Net with what a golden file of additions holds, states of 8 x 8. */
export async function predictedWith(
  unet: ConditionalUNet,
  { x, t, encoder_hidden_states: context, text_embeds: pooled, time_ids: sizes }: Record<string, Float32Array>,
): Promise<Float32Array> {
  return unet.forward(x!, t!, { height: 8, width: 8, context: context!, pooled, sizes });
}

/** Compares the prediction of sd1 with low-rank additions. */
export async function expectLora(
  { name, loras }: (typeof loraGoldens)[number],
  options: LatentNetworkOptions,
  limit: number,
): Promise<void> {
  const tensors = await goldenNumbers(loraFile('sd1', 'golden'));
  await using unet = await ConditionalUNet.load(join(latentFixtures, 'sd1/unet'), { ...options, loras });
  expect(difference(await predictedWith(unet, tensors), tensors[`out.${name}`]!)).toBeLessThan(limit);
}

/** Compares a prediction of the diffusion prior. */
export async function expectPrior(options: LatentNetworkOptions, limit: number): Promise<void> {
  const golden = await readTensors(join(latentFixtures, 'prior/golden.safetensors'));
  await using prior = await DiffusionPrior.load(join(latentFixtures, 'prior/prior'), options);
  const texts = { hidden: golden.hidden_states!, pooled: golden.text_embeds!, mask: golden.mask! };
  expect(difference(await prior.forward(golden.start!, golden.t!, texts), golden.out!)).toBeLessThan(limit);
}
