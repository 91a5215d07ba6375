// Derivatives of networks against those that another engine's automatic differentiation gives in float64.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { loadNetwork } from '../../../lib/checkpoint/load-network.js';
import { recomputeFact } from '../../../lib/engine/evaluation.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { Random } from '../../support/random.js';
import { largest, readTensors } from '../../support/tensors.js';
import { packagePath } from '../../support/temporary.js';

function normals(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
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

const networks = ['diffusers-ddpm', 'diffusers-adm', 'ho-ddpm-head-complex', 'score-sde-ncsnpp-fir'];
const devices = [
  { device: 'reference', exact: false },
  { device: 'cpu', exact: false },
  { device: 'cpu', exact: true },
];

describe.each(devices)('derivatives on $device, exact $exact', (options) => {
  it.each(networks)('are those of %s', async (name) => {
    const folder = packagePath(`test/fixtures/unet/${name}`);
    const { x, t, class_labels: classLabels } = await readTensors(join(folder, 'input.safetensors'));
    const golden = await readTensors(packagePath(`test/fixtures/gradients/vjp/${name}.safetensors`));
    const hasHead = name.includes('head');
    await using model = await DiffusionModel.load(folder, { ...options, head: hasHead ? 'npr' : null });
    const { unet } = model;
    const forward = await unet.forward(x!, t!, { classLabels });
    const batch = t!.length;
    const outElements = forward.out.length / batch;
    const [cotangent, headCotangent] = split(golden.cotangent!, batch, outElements);

    const pulled = await unet.pullback(x!, t!, {
      classLabels,
      cotangent,
      ...(hasHead && { headCotangent }),
    });
    expect(maxDifference(pulled.gradient, golden.vjp!)).toBeLessThan(5e-5 * largest(golden.vjp!));
    const again = await unet.pullback(x!, t!, {
      classLabels,
      cotangent,
      ...(hasHead && { headCotangent }),
      recompute: 'blocks',
    });
    expect(maxDifference(again.gradient, pulled.gradient)).toBeLessThan(1e-5 * largest(golden.vjp!));
    const pushed = await unet.pushforward(x!, t!, { classLabels, tangent: golden.tangent! });
    const [jvp, headJvp] = split(golden.jvp!, batch, outElements);
    expect(maxDifference(pushed.tangent, jvp)).toBeLessThan(5e-5 * largest(golden.jvp!));
    if (hasHead) expect(maxDifference(pushed.headTangent!, headJvp)).toBeLessThan(5e-5 * largest(golden.jvp!));
    else expect(pushed.headTangent).toBeNull();
    for (const { out, head } of [pulled, pushed]) {
      expect(maxDifference(out, forward.out)).toBeLessThan(5e-5 * largest(forward.out));
      if (hasHead) expect(maxDifference(head!, forward.head!)).toBeLessThan(5e-5 * largest(forward.head!));
    }
  });
});

describe.each(devices)('derivatives of a classifier on $device, exact $exact', (options) => {
  it('are those of its logits', async () => {
    const folder = packagePath('test/fixtures/unet/classifier-attention');
    const { x, t } = await readTensors(join(folder, 'input.safetensors'));
    const golden = await readTensors(packagePath('test/fixtures/gradients/vjp/classifier-attention.safetensors'));
    const loading = { reading: {}, device: options, signal: undefined };
    const { network, opened } = await loadNetwork('classifier', folder, loading);
    const pulled = await network.pullback(x!, t!, { cotangent: golden.cotangent! });
    const pushed = await network.pushforward(x!, t!, { tangent: golden.tangent! });
    await opened.device.close();
    expect(maxDifference(pulled.gradient, golden.vjp!)).toBeLessThan(5e-5 * largest(golden.vjp!));
    expect(maxDifference(pushed.tangent, golden.jvp!)).toBeLessThan(5e-5 * largest(golden.jvp!));
    for (const { out } of [pulled, pushed]) {
      expect(maxDifference(out, golden.out!)).toBeLessThan(5e-5 * largest(golden.out!));
    }
  });
});

describe('derivatives', () => {
  const name = 'diffusers-ddpm';
  const elements = 3 * 16 * 16;
  let folder: string;
  let model: DiffusionModel;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'derivatives-'));
    model = await DiffusionModel.load(packagePath(`test/fixtures/unet/${name}`), { device: 'cpu', threads: 1 });
  });
  afterAll(async () => {
    await model.close();
    await rm(folder, { recursive: true });
  });

  const states = (batch: number, seed: number): Float32Array => normals(batch * elements, seed);

  it('are the same bits on any number of threads, and of a sample whatever its batch', async () => {
    const [x, cotangent] = [states(3, 1), states(3, 2)];
    const t = [10, 500, 900];
    const expected = await model.unet.pullback(x, t, { cotangent });
    const tangent = (await model.unet.pushforward(x, t, { tangent: cotangent })).tangent;
    for (const threads of [2, 3, 7]) {
      await using other = await DiffusionModel.load(packagePath(`test/fixtures/unet/${name}`), {
        device: 'cpu',
        threads,
      });
      expect((await other.unet.pullback(x, t, { cotangent })).gradient).toEqual(expected.gradient);
      expect((await other.unet.pushforward(x, t, { tangent: cotangent })).tangent).toEqual(tangent);
    }
    const part = (values: Float32Array): Float32Array => values.slice(elements, 2 * elements);
    const alone = await model.unet.pullback(part(x), 500, { cotangent: part(cotangent) });
    expect(alone.gradient).toEqual(part(expected.gradient));
  });

  it('take device tensors and receivers', async () => {
    const [x, cotangent] = [states(2, 3), states(2, 4)];
    const expected = await model.unet.pullback(x, 100, { cotangent });
    const shape = [2, 3, 16, 16];
    using onDevice = model.device.tensor(shape);
    using weights = model.device.tensor(shape);
    using gradient = model.device.tensor(shape);
    await onDevice.write(x);
    await weights.write(cotangent);
    const found = await model.unet.pullback(onDevice, 100, { cotangent: weights, gradient });
    expect(found.gradient).toBe(gradient);
    expect(await gradient.read()).toEqual(expected.gradient);
    const pushed = await model.unet.pushforward(onDevice, 100, { tangent: weights });
    const onHost = await model.unet.pushforward(x, 100, { tangent: cotangent });
    expect(await pushed.tangent.read()).toEqual(onHost.tangent);
    const out = new Float32Array(x.length);
    expect((await model.unet.pullback(x, 100, { cotangent, out, gradient: out.slice() })).out).toBe(out);
    expect(out).toEqual(expected.out);
  });

  it('are of what the arrays hold at the call', async () => {
    const [x, direction] = [states(2, 3), states(2, 4)];
    const calls = {
      pullback: () => model.unet.pullback(x, 100, { cotangent: direction }).then(({ gradient }) => gradient),
      pushforward: () => model.unet.pushforward(x, 100, { tangent: direction }).then(({ tangent }) => tangent),
    };
    for (const call of Object.values(calls)) {
      const expected = await call();
      const kept = [x.slice(), direction.slice()] as const;
      const found = call();
      x.fill(0);
      direction.fill(0);
      expect(await found).toEqual(expected);
      x.set(kept[0]);
      direction.set(kept[1]);
    }
  });

  it('of the outputs that nobody asks about are those of zero', async () => {
    await using headed = await DiffusionModel.load(packagePath('test/fixtures/unet/ho-ddpm-head-complex'), {
      device: 'cpu',
      head: 'npr',
    });
    const x = states(1, 5);
    const { out, head } = await headed.unet.forward(x, 7);
    const [ofOut, ofHead] = [normals(out.length, 6), normals(head!.length, 7)];
    const gradientOf = async (options: object): Promise<Float32Array> =>
      (await headed.unet.pullback(x, 7, options)).gradient;
    const both = await gradientOf({ cotangent: ofOut, headCotangent: ofHead });
    const alone = [await gradientOf({ cotangent: ofOut }), await gradientOf({ headCotangent: ofHead })];
    const sum = alone[0]!.map((value, i) => value + alone[1]![i]!);
    expect(maxDifference(sum, both)).toBeLessThan(5e-5 * largest(both));
  });

  it.each([
    ['no cotangent', {}, 'ERR_DPM_ARGUMENT'],
    ['a cotangent of another size', { cotangent: new Float32Array(5) }, 'ERR_DPM_TENSOR_SHAPE'],
    ['a cotangent that is no array', { cotangent: [1, 2] }, 'ERR_DPM_ARGUMENT'],
    ['one of a second output', { headCotangent: new Float32Array(elements) }, 'ERR_DPM_ARGUMENT'],
    ['another option', { cotangent: new Float32Array(elements), tangent: 1 }, 'ERR_DPM_ARGUMENT'],
    [
      'a receiver of another size',
      { cotangent: new Float32Array(elements), gradient: new Float32Array(3) },
      'ERR_DPM_TENSOR_SHAPE',
    ],
  ])('are refused for %s', async (_, options, code) => {
    await expect(model.unet.pullback(states(1, 1), 1, options as never)).rejects.toMatchObject({ code });
  });

  it('are refused for tensors of two kinds', async () => {
    using cotangent = model.device.tensor([1, 3, 16, 16]);
    const mixed = { cotangent } as never;
    await expect(model.unet.pullback(states(1, 1), 1, mixed)).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(model.unet.pushforward(states(1, 1), 1, {} as never)).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
    });
  });

  it('refuse results in the same memory, and on a device such as would be written over what is read', async () => {
    const [x, cotangent, both] = [states(1, 1), states(1, 2), new Float32Array(1.5 * states(1, 1).length)];
    const [out, gradient] = [both.subarray(0, x.length), both.subarray(x.length / 2)];
    const refusal = (words: string) => ({ code: 'ERR_DPM_ARGUMENT', message: `${words} lie in the same memory` });
    await expect(model.unet.pullback(x, 1, { cotangent, out, gradient })).rejects.toMatchObject(
      refusal('gradient and out'),
    );
    const pushed = model.unet.pushforward(x, 1, { tangent: cotangent, out, outTangent: out });
    await expect(pushed).rejects.toMatchObject(refusal('outTangent and out'));
    const beside = { out: both.subarray(0, x.length), gradient: new Float32Array(x.length) };
    expect((await model.unet.pullback(x, 1, { cotangent, ...beside })).gradient).toBe(beside.gradient);
    // Arrays are copied: a result may take the place of what it is made of.
    const own = x.slice();
    await model.unet.forward(own, 1, { out: own });
    expect(own).toEqual((await model.unet.forward(x, 1)).out);
    using tensor = model.device.tensor([1, 3, 16, 16]);
    await tensor.write(x);
    await expect(model.unet.forward(tensor, 1, { out: tensor })).rejects.toMatchObject(refusal('out and x'));
  });

  it('let go of tensors that they were given', async () => {
    const [x, cotangent] = [model.device.tensor([1, 3, 16, 16]), model.device.tensor([1, 3, 16, 16])];
    await x.write(states(1, 1));
    await cotangent.write(states(1, 2));
    const pulled = await model.unet.pullback(x, 1, { cotangent });
    const pushed = await model.unet.pushforward(x, 1, { tangent: cotangent });
    await expect(model.unet.pullback(x, 1, { cotangent, out: pulled.out, gradient: cotangent })).rejects.toThrow(
      'memory',
    );
    for (const each of [x, cotangent, pulled.out, pulled.gradient, pushed.out, pushed.tangent]) each.free();
    // Networks with a derivative and the memory of their evaluations stay; the next calls take no more.
    const [again, along] = [model.device.tensor([1, 3, 16, 16]), model.device.tensor([1, 3, 16, 16])];
    const between = model.device.memory();
    const more = await model.unet.pullback(again, 1, { cotangent: along });
    for (const each of [more.out, more.gradient]) each.free();
    expect(model.device.memory().host).toBe(between.host);
    again.free();
    along.free();
    await expect(model.unet.pullback(again, 1, { cotangent: along })).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
    expect(model.device.memory().host).toBe(between.host - 2 * 4 * 3 * 16 * 16);
  });

  it('name the file that is gone when they are first needed, and work once it is back', async () => {
    const place = join(folder, name);
    await cp(packagePath(`test/fixtures/unet/${name}`), place, { recursive: true });
    await using moved = await DiffusionModel.load(place, { device: 'cpu' });
    const weights = join(place, 'unet', 'diffusion_pytorch_model.safetensors');
    await cp(weights, `${weights}.kept`);
    await rm(weights);
    const [x, cotangent] = [states(1, 1), states(1, 2)];
    await expect(moved.unet.pullback(x, 1, { cotangent })).rejects.toThrow(weights);
    await cp(`${weights}.kept`, weights);
    const { gradient } = await moved.unet.pullback(x, 1, { cotangent });
    expect(gradient).toEqual((await model.unet.pullback(x, 1, { cotangent })).gradient);
  });

  it('take the memory that their graphs promise', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const { unet } = model;
    const mebibytes = ({ info }: { info: { rowBytes: number } }): number => info.rowBytes / 2 ** 20;
    const kept = mebibytes(await unet.derivative('pullback'));
    const again = mebibytes(await unet.derivative('pullback', 'blocks'));
    const tangent = mebibytes(await unet.derivative('pushforward'));
    // Live values of one sample in float32, counted by another planner: 0.45, 1.35, 0.96 and 0.90 MiB.
    expect(mebibytes(unet.native)).toBeLessThan(0.45 * 1.1);
    expect(kept).toBeLessThan(1.35 * 1.1);
    expect(again).toBeLessThan(0.96 * 1.1);
    expect(tangent).toBeLessThan(0.9 * 1.1);
    expect(again).toBeLessThan(0.8 * kept);
  });

  it('are of a network for each policy, and of no other', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const x = normals(784, 1);
    const derived = vi.spyOn(model.unet, 'derivative');
    await model.unet.pullback(x, 5, { cotangent: x });
    expect(derived).toHaveBeenLastCalledWith('pullback', recomputeFact.standard);
    const [kept, again] = [await model.unet.derivative('pullback'), await model.unet.derivative('pullback', 'blocks')];
    expect(again).not.toBe(kept);
    expect(await model.unet.derivative('pullback', recomputeFact.standard)).toBe(kept);
    expect(await model.unet.derivative('pushforward')).not.toBe(kept);
    await model.unet.pullback(x, 5, { cotangent: x, recompute: 'blocks' });
    expect(await model.unet.derivative('pullback', 'blocks')).toBe(again);
    await expect(model.unet.pullback(x, 5, { cotangent: x, recompute: 'all' as never })).rejects.toThrow('recompute');
  });

  it('give their memory back with the model', async () => {
    const before = model.device.memory().device + model.device.memory().host;
    const closing = await DiffusionModel.load(packagePath(`test/fixtures/unet/${name}`), { device: model.device });
    const [x, cotangent] = [states(1, 1), states(1, 2)];
    await closing.unet.pullback(x, 1, { cotangent });
    await closing.unet.pushforward(x, 1, { tangent: cotangent });
    await closing.close();
    expect(model.device.memory().device + model.device.memory().host).toBe(before);
  });
});
