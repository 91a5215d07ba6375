// Checkpoint files: what they are is said by a configuration, and converting them changes nothing.
import { readFileSync, writeFileSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { convertModel, weightTypeFact } from '../../../lib/checkpoint/convert.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { encodeFloats, floatsOf } from '../../../lib/files/floats.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats, writeSafetensors, type HostTensor } from '../../../lib/files/tensor-data.js';
import { DiffusionModel, type LoadOptions } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const fixture = (name: string): string => packagePath(`test/fixtures/unet/${name}`);

async function forward(path: string, input: string, options: LoadOptions = {}): Promise<Float32Array> {
  await using model = await DiffusionModel.load(path, { device: 'cpu', exact: true, ...options });
  const header = await readSafetensorsHeader(join(input, 'input.safetensors'));
  const [x, t] = [(await readFloats(header, 'x')).data, (await readFloats(header, 't')).data];
  const labels = header.tensors.has('class_labels') ? (await readFloats(header, 'class_labels')).data : undefined;
  const { out, head } = await model.unet.forward(x, t, { classLabels: labels });
  return head === null ? out : Float32Array.from([...out, ...head]);
}

describe('a checkpoint written by PyTorch', () => {
  it('converts to a folder whose network gives the same bits', async () => {
    const config = join(fixture('ho-ddpm'), 'config.json');
    const model = await readModelFolder(fixture('ho-ddpm.pth'), { config });
    expect(model.evidence).toMatch(/holds temb\.dense\.0\.weight/);
    const folder = join(temporaryFolder(), 'converted');
    expect(await convertModel(model, folder, { dtype: 'f16' })).toMatchObject({ tensors: 144, parameters: 702_499 });
    const expected = await forward(fixture('ho-ddpm'), fixture('ho-ddpm'));
    expect(await forward(folder, fixture('ho-ddpm'))).toEqual(expected);
    expect(await forward(fixture('ho-ddpm.pth'), fixture('ho-ddpm'), { config })).toEqual(expected);
    // float32 holds every float16.
    const wide = join(temporaryFolder(), 'wide');
    await convertModel(model, wide, { dtype: 'f32' });
    expect(await forward(wide, fixture('ho-ddpm'))).toEqual(expected);
    const [unsaid, standard] = ['unsaid', 'standard'].map((name) => join(temporaryFolder(), name));
    await convertModel(model, unsaid!);
    await convertModel(model, standard!, { dtype: weightTypeFact.standard });
    const weights = (at: string): Buffer => readFileSync(join(at, 'model.safetensors'));
    expect(weights(unsaid!)).toEqual(weights(standard!));
    expect(weights(unsaid!)).not.toEqual(weights(folder));
  });

  it('gives the averaged weights of a training checkpoint', async () => {
    const config = join(fixture('score-sde-ddpm'), 'config.json');
    const path = fixture('score-sde-training.pth');
    expect((await readModelFolder(path, { config })).evidence).toMatch(/weights from ema > shadow_params/);
    expect(await forward(path, fixture('score-sde-ddpm'), { config })).toEqual(
      await forward(fixture('score-sde-ddpm'), fixture('score-sde-ddpm')),
    );
  });
});

describe('converting', () => {
  it.each(['openai-adm-class', 'edm-ddpmpp', 'score-sde-ddpmpp', 'ho-ddpm-head-complex'])(
    '%s keeps what belongs to the model',
    async (name) => {
      const folder = join(temporaryFolder(), 'converted');
      await convertModel(await readModelFolder(fixture(name)), folder, { dtype: 'f16' });
      const head = name.includes('head') ? ('sn' as const) : null;
      expect(await forward(folder, fixture(name), { head })).toEqual(
        await forward(fixture(name), fixture(name), { head }),
      );
    },
  );

  it('keeps heads, schedule and gamma table of a diffusers folder', async () => {
    const folder = join(temporaryFolder(), 'mnist');
    await convertModel(await readModelFolder(packagePath('models/mnist')), folder, { dtype: 'bf16' });
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    expect(model.gamma?.m).toHaveLength(1001);
    const { images } = await model.sample({ sampler: 'sn-ddpm', steps: 4, seed: 1 });
    await using original = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
    const exact = await original.sample({ sampler: 'sn-ddpm', steps: 4, seed: 1 });
    expect(maxDifference(images.data, exact.images.data)).toBeGreaterThan(0);
    const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean(images.data) - mean(exact.images.data))).toBeLessThan(0.1);
  });

  it('writes tensors in the order of their names, whatever that of the source', async () => {
    const orders = [['conv_in.bias'], ['temb.dense.0.bias', 'conv_in.bias']];
    const header = await readSafetensorsHeader(join(fixture('ho-ddpm'), 'model.safetensors'));
    const names = [...header.tensors.keys()];
    const files = orders.map(async (first) => {
      const model = await readModelFolder(fixture('ho-ddpm'));
      const { files: sources, tensors } = model.weights;
      const order = [...new Set([...first, ...names.toReversed()])];
      const shuffled = new Map(order.map((name) => [name, tensors.get(name)!]));
      const folder = join(temporaryFolder(), 'converted');
      await convertModel({ ...model, weights: { files: sources, tensors: shuffled } }, folder);
      return join(folder, 'model.safetensors');
    });
    const [one, other] = await Promise.all(files);
    const { tensors } = await readSafetensorsHeader(one!);
    expect([...tensors.keys()]).toEqual(names.toSorted());
    const offsets = [...tensors.values()].map(({ offset }) => offset);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(readFileSync(other!).equals(readFileSync(one!))).toBe(true);
  });

  it('keeps the scheduler file as it is', async () => {
    const source = join(temporaryFolder(), 'source');
    await cp(packagePath('models/mnist'), source, { recursive: true });
    const scheduler = join('scheduler', 'scheduler_config.json');
    writeFileSync(join(source, scheduler), '{ "_class_name": "DDIMScheduler", "of its own": [1, 2] }\n');
    const folder = join(temporaryFolder(), 'converted');
    await convertModel(await readModelFolder(source), folder);
    expect(readFileSync(join(folder, scheduler))).toEqual(readFileSync(join(source, scheduler)));
  });

  it('keeps the gamma table of a folder of another family', async () => {
    const folder = join(temporaryFolder(), 'model');
    await convertModel(await readModelFolder(fixture('ho-ddpm')), folder);
    expect((await readModelFolder(folder)).gamma).toBeNull();
    await copyFile(packagePath('models/mnist/gamma.json'), join(folder, 'gamma.json'));
    const again = join(temporaryFolder(), 'again');
    await convertModel(await readModelFolder(folder), again);
    expect((await readModelFolder(again)).gamma?.m).toHaveLength(1001);
  });

  it('has no head where the folder has none', async () => {
    const model = await readModelFolder(fixture('diffusers-ddpm'));
    await expect(model.select('npr')).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringContaining("head 'npr' is not available") as string,
    });
  });

  it('has no head but those that its configuration names', async () => {
    const refused = async (path: string, config?: string): Promise<unknown> => {
      const model = await readModelFolder(path, { config });
      return model.select('npr');
    };
    await expect(refused(fixture('ho-ddpm'))).rejects.toThrow(/names no head, head 'npr' is not available/);
    const folder = fixture('ho-ddpm-head-complex');
    const raw = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { head: object };
    const config = join(temporaryFolder(), 'config.json');
    writeFileSync(config, JSON.stringify({ ...raw, head: { ...raw.head, kind: 'sn' } }));
    const weights = join(folder, 'model.safetensors');
    await expect(refused(weights, config)).rejects.toThrow(/names sn, head 'npr' is not available/);
  });

  it('has the head of its family where it is asked for, and its tensors are known in any case', async () => {
    const model = await readModelFolder(fixture('ho-ddpm-head-complex'));
    const [without, having] = [await model.select(null), await model.select('sn')];
    expect(without.unet.head).toBeNull();
    expect(having.unet.head).not.toBeNull();
    for (const { report } of [without, having]) expect(report).toEqual({ missing: [], unused: [], misshapen: [] });
  });

  it('leaves nothing behind when it fails', async () => {
    const parent = temporaryFolder();
    const model = await readModelFolder(packagePath('models/mnist'));
    const aborted = convertModel(model, join(parent, 'x'), { signal: AbortSignal.abort(new Error('enough')) });
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(await readdir(parent)).toEqual([]);
    await convertModel(model, join(parent, 'x'));
    await expect(convertModel(model, join(parent, 'x'))).rejects.toThrow(/it exists/);
    expect(await readdir(parent)).toEqual(['x']);
    const wrong = await readModelFolder(fixture('ho-ddpm.pth'), { config: 'ddpm-cifar10' });
    await expect(convertModel(wrong, join(parent, 'y'))).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_MISSING' });
  });

  it('takes a folder of any form and leaves none behind', async () => {
    const parent = temporaryFolder();
    const model = await readModelFolder(fixture('ho-ddpm'));
    await convertModel(model, join(parent, 'new', 'a') + '/');
    expect((await readdir(join(parent, 'new', 'a'))).sort()).toEqual(['config.json', 'model.safetensors']);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(convertModel(model, join(parent, 'other', 'b', 'c'), { signal })).rejects.toThrow(/abort/);
    expect(await readdir(parent)).toEqual(['new']);
  });

  it('refuses what would not load afterwards', async () => {
    const folder = temporaryFolder();
    const write = async (name: string, tensor: HostTensor): Promise<string> => {
      const path = join(folder, `${name}.safetensors`);
      const header = await readSafetensorsHeader(join(fixture('ho-ddpm'), 'model.safetensors'));
      const tensors = await Promise.all(
        [...header.tensors.keys()].map(async (key) => [key, await readFloats(header, key)] as const),
      );
      await writeSafetensors(path, new Map<string, HostTensor>([...tensors, ['conv_in.bias', tensor]]));
      return path;
    };
    const config = join(fixture('ho-ddpm'), 'config.json');
    const converted = async (path: string, dtype: 'f16' | 'f32', named = config): Promise<unknown> =>
      convertModel(await readModelFolder(path, { config: named }), join(temporaryFolder(), 'out'), { dtype });
    const large = await write('large', { shape: [32], data: new Float32Array(32).fill(1e5) });
    await expect(converted(large, 'f16')).rejects.toThrow(/conv_in\.bias.*100000.*f16/);
    const negative = await write('negative', { shape: [32], data: new Float32Array(32).fill(-1e5) });
    await expect(converted(negative, 'f16')).rejects.toThrow(/conv_in\.bias.*-100000.*f16/);
    await converted(large, 'f32');
    // Numbers that round to infinity, and numbers that do not.
    const [least, most] = [65_520, 65_519.992].map((value) => new Float32Array(32).fill(value));
    const named = (name: string, data: Float32Array): Promise<string> => write(name, { shape: [32], data });
    await expect(converted(await named('least', least!), 'f16')).rejects.toThrow(/65520.*f16/);
    await converted(await named('most', most!), 'f16');
    const codes = await write('codes', { shape: [32], data: new BigInt64Array(32) });
    await expect(converted(codes, 'f32')).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_DTYPE' });
    const headed = join(folder, 'headed.json');
    const raw = JSON.parse(readFileSync(config, 'utf8')) as object;
    writeFileSync(headed, JSON.stringify({ ...raw, head: { kind: 'sn' } }));
    await expect(converted(large, 'f32', headed)).rejects.toThrow(/norm_out2/);
    expect((await readModelFolder(large, { config: headed })).heads).toEqual(['sn']);
  });

  it('refuses a folder whose heads are not all there', async () => {
    const folder = join(temporaryFolder(), 'mnist');
    await convertModel(await readModelFolder(packagePath('models/mnist')), folder);
    const [head] = (await readdir(join(folder, 'heads'))).filter((name) => name.endsWith('.safetensors'));
    await rm(join(folder, 'heads', head!));
    await expect(convertModel(await readModelFolder(folder), `${folder}-again`)).rejects.toThrow(head);
  });

  it('rounds as IEEE does, ties to even', () => {
    const exactHalf = (bits: number): number => floatsOf('F16', new Uint8Array(Uint16Array.of(bits).buffer), 1)[0]!;
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -70_000, max: 70_000 }), (value) => {
        const [found] = floatsOf('F16', encodeFloats(Float32Array.of(value), 'F16'), 1);
        const [near] = floatsOf('BF16', encodeFloats(Float32Array.of(value), 'BF16'), 1);
        const spacing = Math.max(2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) - 10), 2 ** -24);
        if (Math.abs(value) < 65_504) expect(Math.abs(found! - value)).toBeLessThanOrEqual(spacing / 2);
        expect(Math.abs(near! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -8, 2 ** -134));
      }),
    );
    const halves = Float32Array.from({ length: 0x7c00 }, (_, bits) => exactHalf(bits));
    const again = floatsOf('F16', encodeFloats(halves, 'F16'), halves.length);
    expect(again).toEqual(halves);
    // Ties between two neighbours go to the even one.
    const ties = halves.slice(0, -1).map((value, i) => (value + halves[i + 1]!) / 2);
    const rounded = new Uint16Array(encodeFloats(ties, 'F16').slice().buffer);
    rounded.forEach((bits, i) => {
      expect(bits).toBe(i + (i % 2));
    });
    expect([...floatsOf('F16', encodeFloats(Float32Array.of(NaN, 1e9, -Infinity, -0), 'F16'), 4)]).toEqual([
      NaN,
      Infinity,
      -Infinity,
      -0,
    ]);
    for (const type of ['F16', 'BF16'] as const) {
      expect(floatsOf(type, encodeFloats(Float32Array.of(Number.NaN), type), 1)[0]).toBeNaN();
    }
  });
});

describe('folders of diffusers', () => {
  it('may have everything in one place, and half precision under its own name', async () => {
    const folder = join(temporaryFolder(), 'flat');
    await mkdir(folder);
    const fixtureFolder = fixture('diffusers-ddpm');
    for (const file of [
      'unet/config.json',
      'scheduler/scheduler_config.json',
      'unet/diffusion_pytorch_model.safetensors',
    ]) {
      await copyFile(join(fixtureFolder, file), join(folder, basename(file)));
    }
    const weights = join(folder, 'diffusion_pytorch_model.safetensors');
    await rename(weights, weights.replace('.safetensors', '.fp16.safetensors'));
    const again = `${folder}-again`;
    await convertModel(await readModelFolder(folder), again);
    expect(await forward(again, fixtureFolder)).toEqual(await forward(fixtureFolder, fixtureFolder));
  });

  it('may be files with the configuration beside them, whose schedule is assumed', async () => {
    const unet = join(fixture('diffusers-ddpm'), 'unet');
    const weights = join(unet, 'diffusion_pytorch_model.safetensors');
    const model = await readModelFolder(weights, { config: join(unet, 'config.json') });
    expect(model.family).toBe('diffusers');
    expect(model.evidence).toMatch(/taken to be DDPM's/);
    expect((await model.select(null)).report.missing).toEqual([]);
  });
});

describe('configurations of checkpoint files', () => {
  it('may be YAML', async () => {
    const config = join(temporaryFolder(), 'ho.yaml');
    const raw = JSON.parse(readFileSync(join(fixture('ho-ddpm'), 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(
      config,
      Object.entries(raw)
        .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
        .join('\n'),
    );
    const model = await readModelFolder(fixture('ho-ddpm.pth'), { config });
    expect((await model.select(null)).report).toEqual({ missing: [], unused: [], misshapen: [] });
  });

  it.each<[string, string | undefined, RegExp]>([
    ['ho-ddpm.pth', undefined, /look like ho's.*give config.*ddpm-cifar10/],
    ['ho-ddpm.pth', 'ddpm-cifar11', /neither a file nor a preset.*ddpm-cifar10/],
    ['ho-ddpm', 'ddpm-cifar10', /is not a file/],
    ['golden-splitmix.json', 'ddpm-cifar10', /is a text file, not a safetensors file/],
  ])('%s with config %s', async (name, config, message) => {
    await expect(readModelFolder(fixture(name), { config })).rejects.toThrow(message);
  });

  it.each([
    ['&a [*a, *a]', /YAML|not an object/],
    ['a: &x {b: 1}\nc: [*x, *x, *x]', /YAML/],
    ['- 1', /not an object/],
    ['family: magic', /family 'magic' is unknown/],
    ['family: edm\nimg_resolution: 20', /img_resolution is 20, it has to be divisible by 8/],
    [
      'family: openai\nimage_size: 8\nmodel_channels: 96\nchannel_mult: [1]\nnum_res_blocks: 1\nattention_resolutions: [1]\nnum_head_channels: 64',
      /96 channels, not divisible into 1.5 heads/,
    ],
    ['model: {nf: 3}', /family has to be one of ho, openai/],
    ['family: score_sde\nmodel: {nf: 32, skip_rescal: true}\ndata: {image_size: 8}', /skip_rescal is not supported/],
    [
      'family: ho\nch: 32\nch_mult: [1]\nnum_res_blocks: 1\nattn_resolutions: [8]\nresolution: 16\nhead: {out_ch: 6}',
      /out_ch is 6/,
    ],
    ['family: 3', /family has to be one of/],
    ['family: ho\nch: -1\nch_mult: [1]', /ch is -1/],
    ['family: ho\nch: 32\nch_mult: [1, 2]\nnum_res_blocks: 1\nattn_resolutions: [8]\nresolution: 15', /divisible by 2/],
    ['family: openai\nimage_size: 16\nchannel_mult: 2', /channel_mult/],
    ['family: edm\nimg_resolution: 16\nkind: Song', /kind "Song" is not supported/],
    ['family: score_sde\nmodel: 1\ndata: {}', /model is 1/],
  ])('%j is refused', async (text, message) => {
    const config = join(temporaryFolder(), 'config.yaml');
    writeFileSync(config, text);
    await expect(readModelFolder(fixture('ho-ddpm.pth'), { config })).rejects.toThrow(message);
  });
});
