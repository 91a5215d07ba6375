// Low-rank additions to pipelines: put on, added to, swapped while images are drawn, and taken off to the bit.
import { cp, rename, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { MapNetwork } from '../../lib/engine/map-network.js';
import { readJson } from '../../lib/files/files.js';
import { ConditionalUNet, Device, TextToImage, type LoraOptions } from '../../lib/index.js';
import { closePipeline, loadPipeline } from '../../lib/latents/load-pipeline.js';
import { stampsOf } from '../../lib/latents/swapped-networks.js';
import { failure } from '../support/failure.js';
import { fileTensors, writeFileTensors, type FileTensors } from '../support/file-tensors.js';
import { difference, hostDevices, latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';
import { readTensors, tensorReader } from '../support/tensors.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const file = (name: string): string => join(model, 'lora', `${name}.safetensors`);
const [kohya, peft, unetAlone] = [file('kohya'), file('peft'), file('peft-no-alpha')];
const small = { prompt: 'a cat', steps: 3, height: 16, width: 16, output: 'latents' } as const;

/** Additions of nothing, in the same layout. */
function emptied(tensors: FileTensors): FileTensors {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      name.includes('lora_up') ? { ...tensor, bytes: new Uint8Array(tensor.bytes.length) } : tensor,
    ]),
  );
}

interface Stage {
  stage: string;
  loras: { file: string; scale: number }[];
}

describe.each(hostDevices)('a sequence of additions on $device', ({ limit: _, ...options }) => {
  it('has the results of the library, and in the end to the bit those before', async () => {
    const place = join(latentFixtures, 'lora-sequence');
    const { stages } = (await readJson(join(place, 'sequence.json'))) as { stages: Stage[] };
    const golden = join(place, 'golden.safetensors');
    const tensors = await readTensors(golden, (name) => name !== 'input_ids');
    const ids = Int32Array.from(await tensorReader(golden)('input_ids', ['I64']));
    const pipeline = await loadPipeline(model, options);
    const evaluated: Record<string, Float32Array[]> = {};
    for (const { stage, loras } of stages) {
      await pipeline.networks.setLoras(
        loras.map(({ file, scale }) => ({ path: join(model, 'lora', file), scale, allowPartial: false })),
      );
      const { unet, encoders } = pipeline.networks.current;
      const given = { height: 8, width: 12, context: tensors.encoder_hidden_states! };
      const out = await unet.forward(tensors.x!, tensors.t!, given);
      const { hidden } = await encoders.networks[0]!.encode(ids);
      expect(difference(out, tensors[`out.${stage}`]!), stage).toBeLessThan(5e-5);
      expect(difference(hidden, tensors[`text.${stage}`]!), stage).toBeLessThan(5e-5);
      evaluated[stage] = [out, hidden];
    }
    expect(evaluated.unloaded).toEqual(evaluated.base);
    await closePipeline(pipeline);
  });
});

describe('the additions of a pipeline', () => {
  let pipeline: TextToImage;
  const drawn: Record<'base' | 'a' | 'b', Float32Array> = {
    base: new Float32Array(),
    a: new Float32Array(),
    b: new Float32Array(),
  };
  const [a, b] = [[{ path: kohya, scale: 0.7 }], [{ path: peft, scale: 2 }]];

  async function draw(of = pipeline): Promise<Float32Array> {
    return (await of.generate(small)).latents;
  }
  beforeAll(async () => {
    pipeline = await TextToImage.load(model, { device: 'cpu' });
    drawn.base = await draw();
    for (const [name, loras] of Object.entries({ a, b })) {
      await using own = await TextToImage.load(model, { device: 'cpu', loras });
      drawn[name as 'a' | 'b'] = await draw(own);
    }
  });
  afterAll(() => pipeline.close());

  it('are those of loading or of later', async () => {
    expect(drawn.a).not.toEqual(drawn.base);
    expect(drawn.b).not.toEqual(drawn.base);
    await pipeline.setLoras(a);
    expect(await draw()).toEqual(drawn.a);
    await pipeline.setLoras(b);
    expect(await draw()).toEqual(drawn.b);
    await pipeline.setLoras([]);
    expect(await draw()).toEqual(drawn.base);
  });

  it('are swapped by their scale and their file alone', async () => {
    const copy = join(folder, 'style.safetensors');
    await cp(kohya, copy);
    await pipeline.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw()).toEqual(drawn.a);
    await pipeline.setLoras([{ path: copy, scale: -0.7 }]);
    expect(await draw()).not.toEqual(drawn.a);
    // Another file in the place of one is read anew.
    await writeFileTensors(copy, await fileTensors(peft), { lora_adapter_metadata: '{}' });
    await pipeline.setLoras([{ path: copy, scale: 2 }]);
    expect(await draw()).not.toEqual(drawn.a);
    await pipeline.setLoras([]);
  });

  it('that change pack no weight that stays, unless a file has changed', async () => {
    const device = Device.open({ device: 'cpu' });
    const own = await TextToImage.load(model, { device });
    const packed: number[] = [];
    const load = MapNetwork.load.bind(MapNetwork);
    const spied = vi.spyOn(MapNetwork, 'load').mockImplementation(async (...given) => {
      const network = await load(...given);
      packed.push(network.info.weightBytes);
      return network;
    });
    const bytes = async (work: () => Promise<unknown>): Promise<number> => {
      packed.length = 0;
      await work();
      return packed.reduce((sum, each) => sum + each, 0);
    };
    const size = { height: 4, width: 4, batch: 2, contexts: 2 };
    const whole = await bytes(() => draw(own));
    const memory = device.memory().host;
    const told = await own.unet.bytesFor(size);
    const copy = join(folder, 'swapped.safetensors');
    await cp(kohya, copy);
    const changed = await bytes(() => own.setLoras([{ path: copy, scale: 0.7 }]));
    expect(changed).toBeGreaterThan(0);
    expect(changed).toBeLessThan(0.7 * whole);
    expect(
      await bytes(async () => {
        expect(await draw(own)).toEqual(drawn.a);
      }),
    ).toBe(0);
    expect(Math.abs(device.memory().host - memory)).toBeLessThan(0.05 * memory);
    expect(await own.unet.bytesFor(size)).toBe(told);
    // Other contents of the same layout in the place of the file: additions of nothing.
    const tensors = await fileTensors(kohya);
    const without = emptied(tensors);
    const same = await writeFileTensors(join(folder, 'same.safetensors'), tensors);
    await writeFileTensors(copy, without);
    expect((await stat(same)).size).toBe((await stat(copy)).size);
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw(own)).toEqual(drawn.base);
    await writeFileTensors(copy, tensors);
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw(own)).toEqual(drawn.a);
    await writeFileTensors(copy, without);
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw(own)).toEqual(drawn.base);
    // A file that takes the place of another one of the same time is another one, too.
    const { atime, mtime } = await stat(copy);
    const beside = await writeFileTensors(join(folder, 'beside.safetensors'), tensors);
    // Dates of JavaScript have no nanoseconds.
    for (const path of [copy, beside]) await utimes(path, atime, mtime);
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    await rename(beside, copy);
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw(own)).toEqual(drawn.a);
    spied.mockRestore();
    await own.close();
    expect(device.memory().host).toBe(0);
    await device.close();
  });

  it('of loading are read anew where their file has changed', async () => {
    const copy = await writeFileTensors(join(folder, 'loaded.safetensors'), await fileTensors(kohya));
    await using own = await TextToImage.load(model, { device: 'cpu', loras: [{ path: copy, scale: 0.7 }] });
    expect(await draw(own)).toEqual(drawn.a);
    await writeFileTensors(copy, emptied(await fileTensors(kohya)));
    await own.setLoras([{ path: copy, scale: 0.7 }]);
    expect(await draw(own)).toEqual(drawn.base);
  });

  it('are told apart by the device, the number and the time of their files', async () => {
    const found = await stat(kohya);
    const [stamp] = (await stampsOf([{ path: kohya }])).values();
    expect(stamp).toBe([found.dev, found.ino, found.mtimeMs].join(' '));
    expect([...(await stampsOf([{ path: join(folder, 'none') }])).values()]).toEqual(['']);
  });

  it('of running calls are those that these began with', async () => {
    await pipeline.setLoras(a);
    const all = await pipeline.generate({ ...small, count: 3 });
    const stream = pipeline.stream({ ...small, count: 3, batch: 1 });
    const streamed = [(await stream.next()).value!.latents];
    const running = draw();
    await pipeline.setLoras(b);
    expect(await draw()).toEqual(drawn.b);
    for await (const { latents } of stream) streamed.push(latents);
    expect(Float32Array.from(streamed.flatMap((latents) => [...latents]))).toEqual(all.latents);
    expect(await running).toEqual(drawn.a);
    await pipeline.setLoras([]);
    expect(await draw()).toEqual(drawn.base);
  });

  it.each(['read to its end', 'left'])('leave none of a stream open that is %s', async (how) => {
    await using own = await TextToImage.load(model, { device: 'cpu' });
    const { unet } = own;
    const { hidden } = await own.encodePrompt('a cat');
    const stream = own.stream({ ...small, count: 2, batch: 1 });
    await stream.next();
    await own.setLoras([{ path: unetAlone }]);
    await unet.prepare(hidden, 1);
    if (how === 'left') await stream.return();
    else for await (const _ of stream);
    expect((await failure(unet.prepare(hidden, 1))).code).toBe('ERR_DPM_CLOSED');
  });

  it('change the networks that they are for alone, and leave none in memory', async () => {
    const device = Device.open({ device: 'cpu' });
    const own = await TextToImage.load(model, { device });
    const text = await own.encodePrompt('a cat');
    const { unet } = own;
    await own.setLoras([{ path: unetAlone }]);
    expect(await own.encodePrompt('a cat')).toEqual(text);
    expect(own.unet).not.toBe(unet);
    expect((await failure(unet.prepare(text.hidden, 1))).code).toBe('ERR_DPM_CLOSED');
    await own.generate(small);
    const memory = device.memory().host;
    for (const scale of [1, 2, 3]) {
      await own.setLoras([{ path: unetAlone, scale }]);
      await own.generate(small);
    }
    expect(device.memory().host).toBe(memory);
    await own.close();
    expect(device.memory().host).toBe(0);
    await device.close();
  });

  it('are replaced in the order of the calls', async () => {
    await Promise.all([pipeline.setLoras(a), pipeline.setLoras([]), pipeline.setLoras(b)]);
    expect(await draw()).toEqual(drawn.b);
    await pipeline.setLoras([]);
  });

  it.each<[unknown, string, string]>([
    ['style', 'ERR_DPM_ARGUMENT', 'loras'],
    [[null], 'ERR_DPM_ARGUMENT', 'loras'],
    [[{ scale: 1 }], 'ERR_DPM_ARGUMENT', 'path'],
    [[{ path: kohya, scale: Infinity }], 'ERR_DPM_ARGUMENT', 'scale'],
    [[{ path: kohya, strength: 1 }], 'ERR_DPM_ARGUMENT', 'strength'],
    [[{ path: join(folder, 'nowhere') }], 'ERR_DPM_FILE', 'nowhere'],
    [[a[0], { path: join(latentFixtures, 'sdxl/lora/kohya.safetensors') }], 'ERR_DPM_TENSOR_UNUSED', 'sdxl'],
  ])('%j are refused, and nothing has changed', async (loras, code, named) => {
    const { unet } = pipeline;
    const error = await failure(pipeline.setLoras(loras as LoraOptions[]));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(named)]);
    expect(pipeline.unet).toBe(unet);
    expect((await failure(TextToImage.load(model, { device: 'cpu', loras: loras as LoraOptions[] }))).code).toBe(code);
  });

  it('for a lone U-Net leave those of text encoders out', async () => {
    await using unet = await ConditionalUNet.load(join(model, 'unet'), { device: 'cpu', loras: a });
    const { hidden } = await pipeline.encodePrompt('a cat');
    await pipeline.setLoras(a);
    const size = { height: 4, width: 4, context: hidden };
    const x = new Float32Array(64).fill(0.5);
    expect(await unet.forward(x, 500, size)).toEqual(await pipeline.unet.forward(x, 500, size));
    await pipeline.setLoras([]);
  });

  it('of a closed pipeline are none', async () => {
    const own = await TextToImage.load(model, { device: 'cpu' });
    await own.close();
    expect((await failure(own.setLoras(a))).code).toBe('ERR_DPM_CLOSED');
  });
});
