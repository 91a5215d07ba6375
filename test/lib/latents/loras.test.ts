// Low-rank additions to the networks of pipelines against the public library's, in double (test/fixtures/latent).
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { nativeGraph } from '../../../lib/checkpoint/checkpoint.js';
import type { ReadConditional } from '../../../lib/checkpoint/pipelines/conditional.js';
import { readConditionalAt } from '../../../lib/checkpoint/pipelines/single-file/unet-file.js';
import { readTextEncoder } from '../../../lib/checkpoint/pipelines/text-encoder.js';
import { MapNetwork } from '../../../lib/engine/map-network.js';
import { ClipTextEncoder, ConditionalUNet, Device } from '../../../lib/index.js';
import { checkedLoras, promptedWithLoras, unetWithLoras, type ReadPrompted } from '../../../lib/latents/loras.js';
import { contextChannels, promptGraph } from '../../../lib/network/conditional.js';
import {
  difference,
  expectLora,
  goldenNumbers,
  hostDevices,
  latentFixtures,
  loraFile,
  loraGoldens,
  predictedWith,
} from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { fileTensors, writeFileTensors, zeros, type FileTensors } from '../../support/file-tensors.js';
import { tensorReader } from '../../support/tensors.js';

const folder = temporaryFolder();

/** Reads the networks of a pipeline's folder. */
async function readFolder(model: string, encoders: readonly string[]): Promise<ReadPrompted> {
  const place = (part: string): string => join(latentFixtures, model, part);
  return {
    unet: await readConditionalAt(place('unet')),
    encoders: await Promise.all(encoders.map((part) => readTextEncoder(place(part)))),
  };
}

async function ids(path: string, suffix = ''): Promise<Int32Array> {
  return Int32Array.from(await tensorReader(path)(`input_ids${suffix}`, ['I64']));
}

describe.each(hostDevices)('low-rank additions on $device', ({ limit: _, ...options }) => {
  const golden = join(latentFixtures, 'sd1/lora/golden.safetensors');

  it.each(loraGoldens)('$name change the U-Net of sd1 as the library does', async (additions) => {
    await expectLora(additions, options, 5e-5);
  });

  it.each([0.6, 1])('of scale %f change the text encoder of sd1 as the library does', async (scale) => {
    const { [`text.kohya-${scale}`]: expected } = await goldenNumbers(golden);
    const base = await readFolder('sd1', ['text_encoder']);
    const { encoders } = await promptedWithLoras(base, checkedLoras([{ path: loraFile('sd1', 'kohya'), scale }]));
    await using encoder = ClipTextEncoder.on({ device: Device.open(options), isOwn: true }, encoders[0]!);
    const { hidden } = await encoder.encode(await ids(golden));
    expect(difference(hidden, expected!)).toBeLessThan(5e-5);
  });

  it.each(['kohya', 'peft'])('%s of both scales change the networks of sdxl as the library does', async (name) => {
    const path = join(latentFixtures, 'sdxl/lora/golden.safetensors');
    const tensors = await goldenNumbers(path);
    const base = await readFolder('sdxl', ['text_encoder', 'text_encoder_2']);
    const opened = { device: Device.open(options), isOwn: false };
    for (const scale of [0.7, 1]) {
      const { unet: read, encoders } = await promptedWithLoras(
        base,
        checkedLoras([{ path: loraFile('sdxl', name), scale }]),
      );
      await using unet = ConditionalUNet.on(opened, read);
      expect(difference(await predictedWith(unet, tensors), tensors[`out.${scale}`]!)).toBeLessThan(5e-5);
      for (const [i, suffix] of ['', '_2'].entries()) {
        await using encoder = ClipTextEncoder.on(opened, encoders[i]!);
        const { hidden } = await encoder.encode(await ids(path, suffix), { skippedLayers: 1, normed: false });
        expect(difference(hidden, tensors[`penultimate${suffix}.${scale}`]!)).toBeLessThan(5e-5);
      }
    }
    await opened.device.close();
  });
});

describe('low-rank additions', () => {
  const unet = join(latentFixtures, 'sd1/unet');

  it('of scale 0 change nothing', async () => {
    const { [`out.kohya-1`]: _, ...tensors } = await goldenNumbers(join(latentFixtures, 'sd1/lora/golden.safetensors'));
    await using base = await ConditionalUNet.load(unet, { device: 'cpu' });
    const loras = [{ path: loraFile('sd1', 'kohya'), scale: 0 }];
    await using same = await ConditionalUNet.load(unet, { device: 'cpu', loras });
    expect(await predictedWith(same, tensors)).toEqual(await predictedWith(base, tensors));
  });

  it('leave out what fits no layer where that is allowed', async () => {
    const { [`out.kohya-1`]: _, ...tensors } = await goldenNumbers(join(latentFixtures, 'sd1/lora/golden.safetensors'));
    const own = loraFile('sd1', 'kohya');
    const foreign: FileTensors = new Map([
      ['lora_unet_a.lora_down.weight', zeros(1, 1)],
      ['lora_unet_a.lora_up.weight', zeros(1, 1)],
    ]);
    const path = await writeFileTensors(
      join(folder, 'part.safetensors'),
      new Map([...(await fileTensors(own)), ...foreign]),
    );
    await expect(ConditionalUNet.load(unet, { device: 'cpu', loras: [{ path }] })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_UNUSED',
    });
    await using part = await ConditionalUNet.load(unet, { device: 'cpu', loras: [{ path, allowPartial: true }] });
    await using whole = await ConditionalUNet.load(unet, { device: 'cpu', loras: [{ path: own }] });
    expect(await predictedWith(part, tensors)).toEqual(await predictedWith(whole, tensors));
  });

  it('are those of a single file, too, and of its diffusers form to the bit', async () => {
    const tensors = await goldenNumbers(join(latentFixtures, 'sdxl/lora/golden.safetensors'));
    const loras = [{ path: loraFile('sdxl', 'kohya') }];
    const single = join(latentFixtures, 'sdxl-single/model.safetensors');
    const config = join(latentFixtures, 'sdxl');
    await using file = await ConditionalUNet.load(single, { device: 'cpu', config, loras });
    await using folder = await ConditionalUNet.load(join(config, 'unet'), { device: 'cpu', loras });
    expect(await predictedWith(file, tensors)).toEqual(await predictedWith(folder, tensors));
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
      reads.push(await unetWithLoras(base, checkedLoras([{ path: loraFile('sd1', name), scale }])));
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
