// Low-rank additions to the networks of pipelines against the public library's, in double (test/fixtures/latent).
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { nativeGraph } from '../../../lib/checkpoint/checkpoint.js';
import type { ReadConditional } from '../../../lib/checkpoint/pipelines/conditional.js';
import { readConditionalAt } from '../../../lib/checkpoint/pipelines/single-file/unet-file.js';
import { readTextEncoder } from '../../../lib/checkpoint/pipelines/text-encoder.js';
import { MapNetwork } from '../../../lib/engine/map-network.js';
import { ClipTextEncoder, ConditionalUNet, Device, type LoraOptions } from '../../../lib/index.js';
import { checkedLoras, promptedWithLoras, unetWithLoras, type ReadPrompted } from '../../../lib/latents/loras.js';
import { contextChannels, promptGraph } from '../../../lib/network/conditional.js';
import { difference, hostDevices, latentFixtures } from '../../support/latent-goldens.js';
import { readTensors, tensorReader } from '../../support/tensors.js';

const lora = (model: string, name: string): string => join(latentFixtures, model, 'lora', `${name}.safetensors`);

/** Reads the networks of a pipeline's folder. */
async function readFolder(model: string, encoders: readonly string[]): Promise<ReadPrompted> {
  const place = (part: string): string => join(latentFixtures, model, part);
  return {
    unet: await readConditionalAt(place('unet')),
    encoders: await Promise.all(encoders.map((part) => readTextEncoder(place(part)))),
  };
}

/** Evaluates the U-Net with what a golden file holds. */
async function predicted(unet: ConditionalUNet, golden: Record<string, Float32Array>): Promise<Float32Array> {
  const { x, t, encoder_hidden_states: context, text_embeds: pooled, time_ids: sizes } = golden;
  const width = x!.length / 4 / 8;
  return unet.forward(x!, t!, { height: 8, width, context: context!, pooled, sizes });
}

async function ids(path: string, suffix = ''): Promise<Int32Array> {
  return Int32Array.from(await tensorReader(path)(`input_ids${suffix}`, ['I64']));
}

/** Golden results of sd1, and the files that they are of. */
const sums: readonly (readonly [string, LoraOptions[]])[] = [
  ['kohya-0.6', [{ path: lora('sd1', 'kohya'), scale: 0.6 }]],
  ['kohya-1', [{ path: lora('sd1', 'kohya') }]],
  ['peft-1', [{ path: lora('sd1', 'peft') }]],
  ['peft-no-alpha-0.5', [{ path: lora('sd1', 'peft-no-alpha'), scale: 0.5 }]],
  ['processor-1', [{ path: lora('sd1', 'processor') }]],
  [
    'kohya-0.8+peft-0.5',
    [
      { path: lora('sd1', 'kohya'), scale: 0.8 },
      { path: lora('sd1', 'peft'), scale: 0.5 },
    ],
  ],
];

describe.each(hostDevices)('low-rank additions on $device', ({ limit: _, ...options }) => {
  const golden = join(latentFixtures, 'sd1/lora/golden.safetensors');

  it.each(sums)('%s change the U-Net of sd1 as the library does', async (name, loras) => {
    const { [`out.${name}`]: out, ...tensors } = await readTensorsOf(golden);
    await using unet = await ConditionalUNet.load(join(latentFixtures, 'sd1/unet'), { ...options, loras });
    expect(difference(await predicted(unet, tensors), out!)).toBeLessThan(5e-5);
  });

  it.each([0.6, 1])('of scale %f change the text encoder of sd1 as the library does', async (scale) => {
    const { [`text.kohya-${scale}`]: expected } = await readTensorsOf(golden);
    const base = await readFolder('sd1', ['text_encoder']);
    const { encoders } = await promptedWithLoras(base, checkedLoras([{ path: lora('sd1', 'kohya'), scale }]));
    await using encoder = ClipTextEncoder.on({ device: Device.open(options), isOwn: true }, encoders[0]!);
    const { hidden } = await encoder.encode(await ids(golden));
    expect(difference(hidden, expected!)).toBeLessThan(5e-5);
  });

  it.each(['kohya', 'peft'])('%s of both scales change the networks of sdxl as the library does', async (name) => {
    const path = join(latentFixtures, 'sdxl/lora/golden.safetensors');
    const tensors = await readTensorsOf(path);
    const base = await readFolder('sdxl', ['text_encoder', 'text_encoder_2']);
    const opened = { device: Device.open(options), isOwn: false };
    for (const scale of [0.7, 1]) {
      const { unet: read, encoders } = await promptedWithLoras(
        base,
        checkedLoras([{ path: lora('sdxl', name), scale }]),
      );
      await using unet = ConditionalUNet.on(opened, read);
      expect(difference(await predicted(unet, tensors), tensors[`out.${scale}`]!)).toBeLessThan(5e-5);
      for (const [i, suffix] of ['', '_2'].entries()) {
        await using encoder = ClipTextEncoder.on(opened, encoders[i]!);
        const { hidden } = await encoder.encode(await ids(path, suffix), { skippedLayers: 1, normed: false });
        expect(difference(hidden, tensors[`penultimate${suffix}.${scale}`]!)).toBeLessThan(5e-5);
      }
    }
    await opened.device.close();
  });
});

/** Reads the tensors of numbers of a golden file. */
async function readTensorsOf(path: string): Promise<Record<string, Float32Array>> {
  return readTensors(path, (name) => !name.startsWith('input_ids'));
}

describe('low-rank additions', () => {
  const unet = join(latentFixtures, 'sd1/unet');

  it('of scale 0 change nothing', async () => {
    const { [`out.kohya-1`]: _, ...tensors } = await readTensorsOf(join(latentFixtures, 'sd1/lora/golden.safetensors'));
    await using base = await ConditionalUNet.load(unet, { device: 'cpu' });
    const loras = [{ path: lora('sd1', 'kohya'), scale: 0 }];
    await using same = await ConditionalUNet.load(unet, { device: 'cpu', loras });
    expect(await predicted(same, tensors)).toEqual(await predicted(base, tensors));
  });

  it('are those of a single file, too, and of its diffusers form to the bit', async () => {
    const tensors = await readTensorsOf(join(latentFixtures, 'sdxl/lora/golden.safetensors'));
    const loras = [{ path: lora('sdxl', 'kohya') }];
    const single = join(latentFixtures, 'sdxl-single/model.safetensors');
    const config = join(latentFixtures, 'sdxl');
    await using file = await ConditionalUNet.load(single, { device: 'cpu', config, loras });
    await using folder = await ConditionalUNet.load(join(config, 'unet'), { device: 'cpu', loras });
    expect(await predicted(file, tensors)).toEqual(await predicted(folder, tensors));
  });

  it('never share packed weights with others, nor with the base, and what has none does', async () => {
    const { unet: base } = await readFolder('sd1', []);
    const graph = promptGraph(base.description, 77);
    const tokens = new Float32Array(77 * base.description.contextWidth).map((_, i) => Math.sin(i));
    const device = Device.open({ device: 'cpu' });
    const loads = (read: ReadConditional, weightsOf?: MapNetwork): Promise<MapNetwork> =>
      MapNetwork.load(device, nativeGraph(graph, read.checkpoint), { weightsOf });
    const keysOf = async (network: MapNetwork): Promise<Float32Array> => {
      const out = new Float32Array(77 * contextChannels(base.description));
      await network.forward(1, tokens, out);
      return out;
    };
    const reads = [base];
    for (const [name, scale] of [
      ['kohya', 0.5],
      ['kohya', 1],
      ['peft', 1],
    ] as const) {
      reads.push(await unetWithLoras(base, checkedLoras([{ path: lora('sd1', name), scale }])));
    }
    const first = await loads(base);
    const networks = [first];
    const seen: Float32Array[] = [];
    for (const read of reads) {
      const [alone, beside] = [await loads(read), await loads(read, first)];
      const keys = await keysOf(beside);
      expect(keys).toEqual(await keysOf(alone));
      for (const other of seen) expect(keys).not.toEqual(other);
      seen.push(keys);
      networks.push(alone, beside);
    }
    // The base itself is packed once.
    expect(networks[2]!.info.weightBytes).toBe(0);
    for (const network of networks) await network.close();
    await device.close();
  });
});
