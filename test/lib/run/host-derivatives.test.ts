// Derivatives and functions of elements in host programs: those of the network itself, of the first channels alone where the others are a learned range.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import type { HostContext } from '../../../lib/program/host-context.js';
import type { HostProgram } from '../../../lib/program/program.js';
import { NetworkEvaluator } from '../../../lib/run/network-evaluator.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { packagePath } from '../../support/temporary.js';

const time = 321;

function host(run: (context: HostContext) => Promise<void>): HostProgram {
  return { kind: 'host', initialScale: 1, head: null, run };
}

/** Derivatives that a host program finds at its first state, in a random direction. */
interface Found {
  x: Float32Array;
  direction: Float32Array;
  forward: Float32Array;
  out: Float32Array;
  back: Float32Array;
  outOfBack: Float32Array;
}

async function derivatives(model: DiffusionModel, options: object): Promise<Found> {
  const found: Partial<Found> = {};
  const program = host(async (context) => {
    await context.noise('v', 0);
    await context.pushForward('x', time, 'v', 'out', 'forward');
    await context.pullBack('x', time, 'v', 'out of back', 'back');
    found.x = await context.read('x');
    found.direction = await context.read('v');
    [found.out, found.forward] = [await context.read('out'), await context.read('forward')];
    [found.outOfBack, found.back] = [await context.read('out of back'), await context.read('back')];
  });
  await model.run(program, { seed: 5, ...options });
  return found as Found;
}

describe.each([
  ['models/mnist', 1, {}],
  ['test/fixtures/unet/diffusers-adm', 2, { classLabels: [3, 7] }],
] as const)('derivatives of %s', (path, widths, options) => {
  const count = 2;
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(packagePath(path), { device: 'cpu', exact: true });
  });
  afterAll(() => model.close());

  /** The predictions of every sample, of twice as many channels. */
  const prediction = (values: Float32Array): number[] => {
    const each = values.length / count;
    return Array.from({ length: count }, (_, n) => [...values.subarray(n * each, n * each + each / widths)]).flat();
  };

  it('are those of the network', async () => {
    const found = await derivatives(model, { count, ...options });
    const forward = await model.unet.pushforward(found.x, time, { ...options, tangent: found.direction });
    expect([...found.forward]).toEqual(prediction(forward.tangent));
    expect([...found.out]).toEqual(prediction(forward.out));
    const each = found.direction.length / count;
    const cotangent = new Float32Array(widths * found.direction.length);
    for (let n = 0; n < count; ++n)
      cotangent.set(found.direction.subarray(n * each, (n + 1) * each), widths * n * each);
    const back = await model.unet.pullback(found.x, time, { ...options, cotangent });
    expect(found.back).toEqual(back.gradient);
    expect([...found.outOfBack]).toEqual(prediction(back.out));
  });

  it('count as evaluations where states are shown', async () => {
    let previews = 0;
    const program = host(async (context) => {
      await context.pushForward('x', time, 'x', 'out', 'derivative');
      await context.pullBack('x', time, 'x', 'out', 'derivative');
    });
    await model.run(program, {
      count,
      ...options,
      onPreview: () => {
        ++previews;
      },
    });
    expect(previews).toBe(2);
  });
});

describe('derivatives', () => {
  const once = (kind: 'pushForward' | 'pullBack'): HostProgram =>
    host((context) => context[kind]('x', 1, 'v', 'out', 'derivative'));

  it.each(['pushForward', 'pullBack'] as const)('%s is not of a model in JavaScript', async (kind) => {
    await expect(runProgram(once(kind), { shape: [1, 4], model: (x) => x })).rejects.toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
      message: `${kind} needs a network: this model has no derivative`,
    });
  });

  it.each(['pushForward', 'pullBack'] as const)('%s is not with guidance', async (kind) => {
    const path = packagePath('test/fixtures/unet/diffusers-adm');
    await using model = await DiffusionModel.load(path, { device: 'cpu' });
    await expect(model.run(once(kind), { classLabels: 3, guidance: 2 })).rejects.toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
      message: 'only a network without guidance has a derivative',
    });
  });

  it('are those of class labels where outputs have no second half', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
    const x = model.device.tensor([2, ...model.sampleShape]);
    const result = { out: x, head: null, gradient: x };
    const pullback = vi.spyOn(model.unet, 'pullback').mockResolvedValue(result);
    const pushforward = vi
      .spyOn(model.unet, 'pushforward')
      .mockResolvedValue({ ...result, tangent: x, headTangent: null });
    const classLabels = Int32Array.of(3, 7);
    const evaluator = new NetworkEvaluator(model.unet, classLabels);
    const times = Float32Array.of(1, 2);
    await evaluator.pullBack(x, times, x, x, x);
    await evaluator.pushForward(x, times, x, x, x);
    expect(pullback.mock.calls).toEqual([[x, times, expect.objectContaining({ classLabels })]]);
    expect(pushforward.mock.calls).toEqual([[x, times, expect.objectContaining({ classLabels })]]);
    x.free();
  });

  it('need times that are numbers', async () => {
    const program = host((context) => context.pullBack('x', NaN, 'v', 'out', 'derivative'));
    await expect(runProgram(program, { shape: [1, 4], model: (x) => x })).rejects.toThrow(/the time of pullBack/);
  });
});

describe('functions of elements', () => {
  const run = (program: HostProgram, signal?: AbortSignal) =>
    runProgram(program, { shape: [2, 2], init: Float32Array.of(1, 2, 3, 4), model: (x) => x, signal });

  it('take one of each tensor, the target among them', async () => {
    const program = host(async (context) => {
      await context.apply('y', ['x'], (x) => 10 * x);
      await context.apply('x', ['x', 'y', 'x'], (x, y, again) => x - y + 100 * again);
    });
    expect(await run(program)).toEqual(Float32Array.of(91, 182, 273, 364));
    expect(await run(host((context) => context.apply('x', [], () => 7)))).toEqual(Float32Array.of(7, 7, 7, 7));
  });

  it.each<[object, RegExp]>([
    [{ sources: 'x' }, /sources is "x", it has to be the names of tensors/],
    [{ sources: [1] }, /sources is \[1\]/],
    [{ each: 3 }, /each is 3, it has to be a function/],
    [{ target: 4 }, /the name of a tensor is 4/],
    [{ each: () => 'a' }, /what the function of apply returned is "a", it has to be a number/],
    [{ each: () => undefined }, /what the function of apply returned/],
  ])('are refused where they are none: %o', async (wrong, message) => {
    const { target, sources, each } = { target: 'x', sources: ['x'], each: (x: number) => x, ...wrong };
    await expect(run(host((context) => context.apply(target, sources, each)))).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('end with their run', async () => {
    const controller = new AbortController();
    let asked = 0;
    const program = host(async (context) => {
      controller.abort();
      await context.apply('x', ['x'], () => ++asked);
    });
    await expect(run(program, controller.signal)).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(asked).toBe(0);
  });
});
