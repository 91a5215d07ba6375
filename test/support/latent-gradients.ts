// Derivatives of the networks of latent diffusion, against diffusers' and transformers' own backward passes in float64
// (test/fixtures/latent/gradients), whatever the device.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect } from 'vitest';

import { nativeGraph, type Checkpoint } from '../../lib/checkpoint/checkpoint.js';
import { readAutoencoder } from '../../lib/checkpoint/pipelines/autoencoder.js';
import { readConditional } from '../../lib/checkpoint/pipelines/conditional.js';
import { readTextEncoder } from '../../lib/checkpoint/pipelines/text-encoder.js';
import { CheckpointTensors } from '../../lib/engine/checkpoint-tensors.js';
import { nativeWork } from '../../lib/base/errors.js';
import { readFloats } from '../../lib/files/tensor-data.js';
import { readSafetensorsHeader } from '../../lib/files/safetensors.js';
import { Device, type DeviceOptions } from '../../lib/index.js';
import { autoencoderGraph } from '../../lib/network/autoencoder.js';
import { trainedConditionalGraph } from '../../lib/network/conditional.js';
import type { Graph } from '../../lib/network/graph.js';
import { transposed } from '../../lib/latents/tokens.js';
import { textEncoderGraph } from '../../lib/network/text-encoder.js';
import { difference, latentFixtures } from './latent-goldens.js';
import { largest, readTensors } from './tensors.js';

type Tensors = Record<string, Float32Array>;

const goldens = (name: string): Promise<Tensors> =>
  readTensors(join(latentFixtures, 'gradients', `${name}.safetensors`));
const index = JSON.parse(readFileSync(join(latentFixtures, 'gradients/index.json'), 'utf8')) as {
  unet: { t: number[]; weights: number };
  text: { input_ids: number[][]; weights: number; zero: string[] };
  taesd: { weights: number };
};

interface Given {
  image: Float32Array;
  cotangent: Float32Array;
  times?: number[];
  context?: Float32Array;
}

/** Evaluates a graph of two samples with its gradients of all weights, of its image and, where it has one, of its context. */
export async function gradientsOf(
  device: Device,
  graph: Graph,
  checkpoint: Checkpoint,
  given: Given,
): Promise<Record<'out' | 'image' | 'context', Float32Array> & { weights: Map<string, Float32Array> }> {
  const { image, cotangent, times = [0, 0], context } = given;
  const made = nativeGraph(graph, checkpoint);
  const hasContext = context !== undefined;
  const network = await nativeWork(() =>
    device.engine.loadNetwork(made, {
      classes: 0,
      divisor: null,
      derivative: 'weights',
      pullsToImage: true,
      pullsToContext: hasContext,
    }),
  );
  const { elements, places } = network.gradients();
  const gradients = new Float32Array(elements);
  const [out, imageCotangent] = [new Float32Array(cotangent.length), new Float32Array(image.length)];
  const contextCotangent = new Float32Array(context?.length ?? 0);
  const tensors = { outCotangent: cotangent, headCotangent: null, imageCotangent, gradients };
  await nativeWork(() =>
    network.forward(times.length, image, Float32Array.from(times), null, out, null, {
      ...tensors,
      ...(hasContext && { context, contextCotangent }),
    }),
  );
  await network.close();
  return {
    out,
    image: imageCotangent,
    context: contextCotangent,
    weights: new CheckpointTensors(made.constants).gathered(gradients, places),
  };
}

/** Compares gradients of weights with those of a file, and counts them. Those that are `zero` but for rounding are small. */
function expectWeights(
  found: ReadonlyMap<string, Float32Array>,
  expected: Tensors,
  limit: number,
  zero: readonly string[] = [],
): number {
  const isWeight = (name: string): boolean => /^grad\..*\.(weight|bias)$/.test(name);
  const most = Math.max(
    ...Object.keys(expected)
      .filter(isWeight)
      .map((name) => largest(expected[name]!)),
  );
  for (const [name, values] of found) {
    const golden = expected[`grad.${name}`];
    expect(golden, name).toBeDefined();
    expect(values.length, name).toBe(golden!.length);
    const scale = zero.includes(name) ? most : Math.max(largest(golden!), 1e-3 * most);
    expect(largest(values.map((value, i) => value - golden![i]!)) / scale, name).toBeLessThan(limit);
  }
  return found.size;
}

export function expectNear(found: Float32Array, expected: Float32Array, limit: number): void {
  expect(difference(found, expected)).toBeLessThan(limit);
}

/** Compares gradients of a conditional U-Net, by weights, states and context. */
async function expectUNetGradients(options: DeviceOptions, limit: number): Promise<void> {
  const { description, checkpoint } = await readConditional(join(latentFixtures, 'sd2/unet'));
  const golden = await goldens('unet');
  const [tokens, width] = [77, description.contextWidth];
  await using device = Device.open(options);
  const graph = trainedConditionalGraph(description, { height: 6, width: 8, tokens });
  const found = await gradientsOf(device, graph, checkpoint, {
    image: golden.x!,
    cotangent: golden['cotangent.out']!,
    times: index.unet.t,
    context: transposed(golden.encoder_hidden_states!, 2, tokens),
  });
  expectNear(found.out, golden.out!, limit);
  expectNear(found.image, golden['grad.x']!, limit);
  expectNear(transposed(found.context, 2, width), golden['grad.encoder_hidden_states']!, limit);
  expect(expectWeights(found.weights, golden, limit)).toBe(index.unet.weights);
}

/** Compares those of a text encoder, by weights and rows of tokens. */
async function expectTextGradients(options: DeviceOptions, limit: number): Promise<void> {
  const folder = join(latentFixtures, 'sd1/text_encoder');
  const { description, checkpoint } = await readTextEncoder(folder);
  const golden = await goldens('text');
  const { width, tokens, layers, vocabulary } = description;
  const header = await readSafetensorsHeader(join(folder, 'model.safetensors'));
  const { data: table } = await readFloats(header, 'text_model.embeddings.token_embedding.weight');
  const ids = index.text.input_ids.flat();
  const rows = Float32Array.from(
    { length: ids.length * width },
    (_, i) => table[ids[Math.floor(i / width)]! * width + (i % width)]!,
  );
  await using device = Device.open(options);
  const graph = textEncoderGraph(description, { layers, normed: true, pooled: false });
  const found = await gradientsOf(device, graph, checkpoint, {
    image: transposed(rows, 2, tokens),
    cotangent: transposed(golden['cotangent.last_hidden_state']!, 2, tokens),
  });
  expectNear(transposed(found.out, 2, width), golden.last_hidden_state!, limit);
  const ofTable = new Float32Array(vocabulary * width);
  transposed(found.image, 2, width).forEach((value, i) => {
    ofTable[ids[Math.floor(i / width)]! * width + (i % width)]! += value;
  });
  expectNear(ofTable, golden['grad.text_model.embeddings.token_embedding.weight']!, limit);
  // The graph's names have no prefix, and the table of tokens is not in it.
  const named = Object.fromEntries(
    Object.entries(golden).map(([name, values]) => [name.replace('.text_model', ''), values]),
  );
  const zero = index.text.zero.map((name) => name.replace('text_model.', ''));
  expect(expectWeights(found.weights, named, limit, zero)).toBe(index.text.weights - 1);
}

/** Compares those of both halves of an autoencoder, by weights and what they read. */
async function expectAutoencoderGradients(options: DeviceOptions, limit: number): Promise<void> {
  const { description, checkpoint } = await readAutoencoder(join(latentFixtures, 'taesd'));
  const golden = await goldens('taesd');
  await using device = Device.open(options);
  let weights = 0;
  for (const [half, sides, image, cotangent, out, gradient] of [
    ['encoder', { height: 32, width: 24 }, 'image', 'cotangent.encoded', 'encoded', 'grad.image'],
    ['decoder', { height: 4, width: 3 }, 'latents', 'cotangent.decoded', 'decoded', 'grad.latents'],
  ] as const) {
    const graph = autoencoderGraph(description, half, sides);
    const given = { image: golden[image]!, cotangent: golden[cotangent]! };
    const found = await gradientsOf(device, graph, checkpoint, given);
    expectNear(found.out, golden[out]!, limit);
    expectNear(found.image, golden[gradient]!, limit);
    weights += expectWeights(found.weights, golden, limit);
  }
  expect(weights).toBe(index.taesd.weights);
}

/** What is compared, whatever the device: each in terms of the tensors that gradients go to. */
export const gradientGoldens = [
  { of: 'a conditional U-Net', to: 'weights, states and context', compare: expectUNetGradients },
  { of: 'a text encoder', to: 'weights and rows of tokens', compare: expectTextGradients },
  { of: 'both halves of an autoencoder', to: 'weights and what they read', compare: expectAutoencoderGradients },
];
