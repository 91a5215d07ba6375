// Networks whose weights are functions of their names, and what is known of their outputs.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect } from 'vitest';

import { familyByName } from '../../lib/checkpoint/families/index.js';
import { networkOf as familyNetwork, type FamilyNetwork } from '../../lib/checkpoint/family.js';
import type { ImageSize } from '../../lib/checkpoint/image-size.js';
import { writeSafetensors } from '../../lib/files/tensor-data.js';
import { Classifier } from '../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../lib/model.js';
import { requiredTensors } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { namedNumbers, namedWeight } from './splitmix.js';
import { temporaryFolder } from './temporary.js';

export interface GoldenNetwork {
  /** Configuration with `family`, or of a diffusers `UNet2DModel`. */
  config: Record<string, unknown>;
  t?: number;
  label?: number;
  head?: boolean;
  /** Size of the image, if not the configuration's. */
  imageSize?: [height: number, width: number];
}

/** Output in float64. */
export interface GoldenOutput {
  first: number[];
  last: number;
  sum: number;
  sumsq: number;
}

export function networkOf(config: Record<string, unknown>, imageSize?: ImageSize): FamilyNetwork {
  const { family = 'diffusers' } = config;
  return familyNetwork(familyByName(family as string), config, 'golden', imageSize);
}

/** The tensors of a network's checkpoint, those of its head included: name -> shape. */
export function storedTensors(network: FamilyNetwork): Map<string, number[]> {
  return new Map(
    [...requiredTensors(unetGraph({ ...network.unet, head: network.head }))].map(([name, shape]) => {
      const stored = network.source(name, shape);
      return [stored.key, [...(stored.shape ?? shape)]] as const;
    }),
  );
}

/** A model folder whose weights are those of their names; vectors of labels lie apart where the configuration wants them so. */
export async function writeModel(
  folder: string,
  config: Record<string, unknown>,
  network = networkOf(config),
): Promise<void> {
  const weights = new Map(
    [...storedTensors(network)].map(([key, shape]) => [key, { shape, data: namedWeight(key, shape) }] as const),
  );
  const isDiffusers = !('family' in config);
  const inner = isDiffusers ? join(folder, 'unet') : folder;
  await mkdir(join(folder, 'scheduler'), { recursive: true });
  await mkdir(inner, { recursive: true });
  await writeFile(join(folder, 'scheduler', 'scheduler_config.json'), '{}');
  await writeFile(join(inner, 'config.json'), JSON.stringify(config));
  const file = isDiffusers ? 'diffusion_pytorch_model.safetensors' : 'model.safetensors';
  const vectors = weights.get('class_embedding.weight');
  if (config.class_embed_type === 'identity' && vectors !== undefined) {
    weights.delete('class_embedding.weight');
    await writeSafetensors(join(inner, 'class_embedding.safetensors'), { weight: vectors });
  }
  await writeSafetensors(join(inner, file), weights);
}

/** The output of a network for the image `input:x`, with that of its head behind it. */
export async function goldenOutputs(
  device: string,
  { config, t = 17, label, head = false, imageSize }: GoldenNetwork,
  network = networkOf(config, imageSize),
): Promise<Float64Array> {
  const folder = temporaryFolder();
  await writeModel(folder, config, network);
  const { inChannels, height, width } = network.unet;
  const x = Float32Array.from(namedNumbers('input:x', inChannels * height * width));
  if (network.unet.pool !== undefined) {
    await using classifier = await Classifier.load(folder, { device, exact: true });
    return Float64Array.from(await classifier.logits(x, t));
  }
  await using model = await DiffusionModel.load(folder, { device, exact: true, head: head ? 'npr' : null, imageSize });
  const result = await model.unet.forward(x, t, { classLabels: label === undefined ? undefined : [label] });
  return Float64Array.from([...result.out, ...(result.head ?? [])]);
}

/** Compares an output to 2e-5 of its root mean square, or of 1 where that is smaller. */
export function expectOutputs(found: Float64Array, expected: GoldenOutput): void {
  const scale = Math.max(1, Math.sqrt(expected.sumsq / found.length));
  expected.first.forEach((value, i) => {
    expect(Math.abs(found[i]! - value)).toBeLessThan(2e-5 * scale);
  });
  expect(Math.abs(found.at(-1)! - expected.last)).toBeLessThan(2e-5 * scale);
  expect(Math.abs(found.reduce((sum, value) => sum + value, 0) - expected.sum)).toBeLessThan(
    2e-6 * scale * found.length,
  );
  const squares = found.reduce((sum, value) => sum + value * value, 0);
  expect(Math.abs(squares / expected.sumsq - 1)).toBeLessThan(2e-5);
}
