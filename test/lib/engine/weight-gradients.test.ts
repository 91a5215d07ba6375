// Gradients of weights against those that another engine's automatic differentiation gives in float64.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { loadNetwork } from '../../../lib/checkpoint/load-network.js';
import type { Network } from '../../../lib/engine/network.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { writeModel } from '../../support/golden-network.js';
import { switchCases } from '../../support/switch-cases.js';
import { largest, readTensors } from '../../support/tensors.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

interface Facts {
  /** The largest element of all gradients. */
  gradientLargest: number;
  /** Tensors whose gradient is zero, or has elements that are. */
  vanishing: string[];
  gradientNorms: Record<string, number>;
  neverSeen?: number[];
  rows?: string;
  rowNorms?: number[];
}

const goldens = 'test/fixtures/gradients';

async function readFacts(path: string): Promise<Facts> {
  return JSON.parse(await readFile(packagePath(`${goldens}/${path}.json`), 'utf8')) as Facts;
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

/** Compares gradients with the golden ones: whole tensors as far as there are, and the norms of all. */
function expectGolden(tensors: ReadonlyMap<string, Float32Array>, golden: Record<string, Float32Array>, facts: Facts) {
  const vanishing = new Set(facts.vanishing);
  const scale = facts.gradientLargest;
  const kept = Object.keys(golden).filter((name) => name.startsWith('grad.'));
  expect(kept.length).toBeGreaterThan(5);
  for (const name of kept) {
    const [found, expected] = [tensors.get(name.slice('grad.'.length)), golden[name]!];
    const allowed = vanishing.has(name.slice('grad.'.length)) ? 1e-6 * scale : 5e-5 * largest(expected);
    expect(maxDifference(found ?? [], expected), name).toBeLessThanOrEqual(allowed);
  }
  for (const [name, expected] of Object.entries(facts.gradientNorms)) {
    const found = norm(tensors.get(name) ?? Float32Array.of(NaN));
    if (!vanishing.has(name)) expect(Math.abs(found - expected), name).toBeLessThan(1e-4 * expected);
  }
  for (const name of vanishing) {
    expect(largest(tensors.get(name) ?? Float32Array.of(Infinity)), name).toBeLessThanOrEqual(1e-6 * scale);
  }
}

/** The first channels of every sample, and the others. */
function split(values: Float32Array, batch: number, first: number): [Float32Array, Float32Array] {
  const each = values.length / batch;
  const part = (from: number, to: number): Float32Array =>
    Float32Array.from({ length: batch * (to - from) }, (_, i) => {
      const [n, element] = [Math.floor(i / (to - from)), i % (to - from)];
      return values[n * each + from + element]!;
    });
  return [part(0, first), part(first, each)];
}

describe.each(['reference', 'cpu'] as const)('gradients of weights on the %s device', (device) => {
  it.each(['diffusers-ddpm', 'diffusers-adm', 'ho-ddpm-head-complex', 'score-sde-ncsnpp-fir'])(
    'are those of %s',
    async (name) => {
      const folder = packagePath(`test/fixtures/unet/${name}`);
      const { x, t, class_labels: classLabels } = await readTensors(join(folder, 'input.safetensors'));
      const golden = await readTensors(packagePath(`${goldens}/vjp/${name}.safetensors`));
      const hasHead = name.includes('head');
      await using model = await DiffusionModel.load(folder, { device, head: hasHead ? 'npr' : null });
      const { unet } = model;
      const batch = t!.length;
      const outElements = unet.info.outChannels * unet.info.height * unet.info.width;
      const [cotangent, headCotangent] = split(golden.cotangent!, batch, outElements);
      const given = { classLabels, cotangent, ...(hasHead && { headCotangent }) };
      const found = await unet.gradients(x!, t!, { ...given, image: true });
      expectGolden(found.tensors, golden, await readFacts(`vjp/${name}`));
      expect(maxDifference(found.gradient!, golden.vjp!)).toBeLessThan(5e-5 * largest(golden.vjp!));
      for (const [tensor, gradient] of found.tensors) {
        const elements = unet.tensors.get(tensor)!.reduce((product, side) => product * side, 1);
        expect(gradient.length, tensor).toBe(elements);
      }
    },
  );

  it('are those of a classifier', async () => {
    const folder = packagePath('test/fixtures/unet/classifier-attention');
    const { x, t } = await readTensors(join(folder, 'input.safetensors'));
    const golden = await readTensors(packagePath(`${goldens}/vjp/classifier-attention.safetensors`));
    const loading = { reading: {}, device: { device }, signal: undefined };
    const { network, opened } = await loadNetwork('classifier', folder, loading);
    const { tensors } = await network.gradients(x!, t!, { cotangent: golden.cotangent! });
    await opened.device.close();
    expectGolden(tensors, golden, await readFacts('vjp/classifier-attention'));
  });

  it.each([
    ['diffusers-adm-tiny', `${goldens}/class-rows/diffusers-adm-tiny`],
    ['openai-adm-class', 'test/fixtures/unet/openai-adm-class'],
  ])('are those of the rows of %s, zero of labels that no sample has', async (name, folder) => {
    const golden = await readTensors(packagePath(`${goldens}/class-rows/${name}.safetensors`));
    const facts = await readFacts(`class-rows/${name}`);
    await using model = await DiffusionModel.load(packagePath(folder), { device });
    const { x, t, class_labels: classLabels, cotangent } = golden;
    const { tensors } = await model.unet.gradients(x!, t!, { classLabels, cotangent: cotangent! });
    expectGolden(tensors, golden, facts);
    const table = tensors.get(facts.rows!)!;
    const width = table.length / facts.rowNorms!.length;
    facts.rowNorms!.forEach((expected, row) => {
      const gradient = table.subarray(row * width, (row + 1) * width);
      if (facts.neverSeen!.includes(row)) expect(largest(gradient)).toBe(0);
      else expect(Math.abs(norm(gradient) - expected)).toBeLessThan(1e-4 * expected);
    });
    expect(facts.neverSeen!.length).toBeGreaterThan(0);
  });
});

describe('a choice of gradients', () => {
  let model: DiffusionModel;
  let unet: Network;
  const elements = 3 * 16 * 16;
  const ramp = (factor: number): Float32Array =>
    Float32Array.from({ length: elements }, (_, i) => Math.sin(factor * i));

  beforeAll(async () => {
    model = await DiffusionModel.load(packagePath('test/fixtures/unet/openai-iddpm'), { device: 'reference' });
    ({ unet } = model);
  });
  afterAll(() => model.close());

  it('is of the tensors named, parts of one put together', async () => {
    const { height, width, outChannels } = unet.info;
    const cotangent = Float32Array.from({ length: outChannels * height * width }, (_, i) => Math.cos(i));
    const x = ramp(1).subarray(0, unet.info.inChannels * height * width);
    const all = await unet.gradients(x, 7, { cotangent });
    expect(all.gradient).toBeNull();
    expect([...all.tensors.keys()].sort()).toEqual([...unet.tensors.keys()].sort());
    const fused = [...unet.tensors.keys()].find((name) => name.endsWith('qkv.weight'))!;
    const tensors = [fused, 'out.2.bias'];
    const some = await unet.gradients(x, 7, { cotangent, tensors });
    expect([...some.tensors.keys()].sort()).toEqual(tensors);
    for (const name of tensors) expect(some.tensors.get(name)).toEqual(all.tensors.get(name));
    expect(some.out).toEqual(all.out);
    expect(some.tensors.get(fused)!.every((value) => value !== 0)).toBe(true);
  });

  it('has a network of its own for every choice', async () => {
    const { height, width, outChannels, inChannels } = unet.info;
    const cotangent = Float32Array.from({ length: outChannels * height * width }, (_, i) => Math.cos(i));
    const x = ramp(1).subarray(0, inChannels * height * width);
    const [first, second] = ['out.2.bias', 'out.2.weight'];
    const of = async (...tensors: string[]) => (await unet.gradients(x, 7, { cotangent, tensors })).tensors;
    expect([...(await of(first)).keys()]).toEqual([first]);
    expect([...(await of(second)).keys()]).toEqual([second]);
    // With the image and without it, whichever came before.
    for (const image of [false, true, false]) {
      const { gradient } = await unet.gradients(x, 7, { cotangent, tensors: [first], image });
      expect(gradient === null).toBe(!image);
    }
    const [kept, again] = [await unet.derivative('weights', 'none'), await unet.derivative('weights', 'blocks')];
    expect(kept).not.toBe(again);
    expect(await unet.derivative('weights', 'none')).toBe(kept);
    expect(await unet.derivative('pullback', 'none')).not.toBe(kept);
  });

  it('takes device tensors', async () => {
    const { height, width, outChannels, inChannels } = unet.info;
    const cotangent = Float32Array.from({ length: outChannels * height * width }, (_, i) => Math.cos(i));
    const x = ramp(1).subarray(0, inChannels * height * width);
    using onDevice = model.device.tensor([1, inChannels, height, width]);
    using given = model.device.tensor([1, outChannels, height, width]);
    await onDevice.write(x);
    await given.write(cotangent);
    const found = await unet.gradients(onDevice, 7, { cotangent: given, tensors: ['out.2.bias'], image: true });
    const expected = await unet.gradients(x, 7, { cotangent, tensors: ['out.2.bias'], image: true });
    expect(found.tensors).toEqual(expected.tensors);
    expect(await found.gradient!.read()).toEqual(expected.gradient);
    expect(await given.read()).toEqual(cotangent);
    found.out.free();
    found.gradient!.free();
  });

  it.each([
    ['no cotangent', {}, 'gradients takes a cotangent'],
    ['no tensor', { tensors: [] }, 'tensors names none'],
    ['a tensor that there is not', { tensors: ['out.2.bios'] }, "no tensor 'out.2.bios' (did you mean 'out.2.bias'?)"],
    ['a name in place of names', { tensors: 'out.2.bias' }, 'tensors'],
    ['names that are none', { tensors: [1] }, 'tensors'],
    ['an image that is no choice', { image: 1 }, 'image'],
    ['another policy', { recompute: 'all' }, 'recompute'],
    ['a cotangent of a second output', { headCotangent: new Float32Array(1) }, 'headCotangent is for networks'],
    ['an option that there is not', { gradient: new Float32Array(1) }, 'gradient'],
  ])('is refused for %s', async (what, options, message) => {
    const { height, width, outChannels, inChannels } = unet.info;
    const cotangent = new Float32Array(outChannels * height * width);
    const given = { ...(what !== 'no cotangent' && { cotangent }), ...options } as never;
    const call = unet.gradients(new Float32Array(inChannels * height * width), 7, given);
    await expect(call).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(call).rejects.toThrow(message);
  });

  it('is refused by name for a tensor without a gradient, which is not one of all', async () => {
    const { config } = switchCases.find(({ id }) => id === 'score_sde fourier')!;
    const folder = temporaryFolder();
    await writeModel(folder, { ...config, model: { ...(config.model as object), scale_by_sigma: true } });
    await using fourier = await DiffusionModel.load(folder, { device: 'reference' });
    const { inChannels, outChannels, height, width } = fourier.unet.info;
    const x = ramp(1).subarray(0, 2 * inChannels * height * width);
    const cotangent = Float32Array.from({ length: 2 * outChannels * height * width }, (_, i) => Math.cos(i));
    const { tensors } = await fourier.unet.gradients(x, [2, 0.5], { cotangent });
    const frequencies = [...fourier.unet.tensors.keys()].filter((name) => !tensors.has(name));
    expect(frequencies).toEqual(['all_modules.0.W']);
    const call = fourier.unet.gradients(x, [2, 0.5], { cotangent, tensors: frequencies });
    await expect(call).rejects.toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    await expect(call).rejects.toThrow('this weight has no gradient');
    // The output is divided by the time, and so is what reaches the last bias, each sample by its own.
    const [last] = [...fourier.unet.tensors.keys()].slice(-1);
    expect(fourier.unet.tensors.get(last!)).toEqual([outChannels]);
    tensors.get(last!)!.forEach((found, channel) => {
      const pixels = height * width;
      const sum = (n: number): number => {
        const first = (n * outChannels + channel) * pixels;
        return cotangent.subarray(first, first + pixels).reduce((total, value) => total + value, 0);
      };
      expect(found).toBeCloseTo(sum(0) / 2 + sum(1) / 0.5, 4);
    });
  });
});
