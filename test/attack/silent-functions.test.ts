// Functions of the caller's that never answer: whatever waits for one ends when what it is for is closed, aborted or left.
import { describe, expect, it } from 'vitest';

import {
  createBatcher,
  Device,
  DiffusionModel,
  estimateGamma,
  NoiseSchedule,
  runProgram,
  samplers,
  type HostProgram,
} from '../../lib/index.js';
import { failure } from '../support/failure.js';

/** A function that never answers, and a promise of its first call. */
function silent(): { asked: Promise<void>; ask: () => Promise<never> } {
  let tell: () => void;
  const asked = new Promise<void>((resolve) => (tell = resolve));
  const ask = (): Promise<never> => {
    tell();
    return new Promise(() => undefined);
  };
  return { asked, ask };
}

const schedule = NoiseSchedule.linear();
const short = { sampler: 'ddim', steps: 2, seed: 1 } as const;
const hostProgram = (run: HostProgram['run']): HostProgram => ({ kind: 'host', initialScale: 1, head: null, run });

type Run = (model: DiffusionModel, ask: (x: unknown) => Promise<never>, signal?: AbortSignal) => Promise<unknown>;

const runs: Readonly<Record<string, Run>> = {
  'a guide': (model, ask, signal) => model.sample({ ...short, signal, guides: [ask] }),
  constrain: (model, ask, signal) => model.sample({ ...short, signal, constrain: ask }),
  'a guide of a stream': (model, ask, signal) => model.stream({ ...short, signal, guides: [ask] }).next(),
  'a program': (model, ask, signal) => model.run(hostProgram(ask), { signal }),
};

describe.each(Object.entries(runs))('%s that never answers', (_, run) => {
  it('ends with a model and its device', async () => {
    const { asked, ask } = silent();
    const model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const running = failure(run(model, ask));
    await asked;
    await model.close();
    expect(await running).toMatchObject({ code: 'ERR_DPM_CLOSED', message: 'the device is closed' });
    expect(model.memory()).toMatchObject({ host: 0 });
  });

  it('ends with a model on a device of others, which stays', async () => {
    const { asked, ask } = silent();
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const model = await DiffusionModel.load('mnist', { device });
    await using other = await DiffusionModel.load('mnist', { device });
    const running = failure(run(model, ask));
    await asked;
    await model.close();
    expect(await running).toMatchObject({ code: 'ERR_DPM_CLOSED', message: 'the network is closed' });
    await other.sample(short);
  });

  it('ends when it is aborted, and the model goes on', async () => {
    const { asked, ask } = silent();
    const controller = new AbortController();
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    await run(model, (x) => Promise.resolve(x as never));
    const before = model.memory().host;
    const running = failure(run(model, ask, controller.signal));
    await asked;
    controller.abort();
    expect(await running).toMatchObject({ code: 'ERR_DPM_ABORTED' });
    // Polling does not wait for the engine, which may be busy.
    await expect.poll(() => model.memory().host).toBe(before);
    await model.sample(short);
  });
});

describe('a stream whose guide never answers', () => {
  it.each(['return', 'throw'] as const)('ends at its %s, while a sample is waited for', async (how) => {
    const { asked, ask } = silent();
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const stream = model.stream({ ...short, guides: [ask] });
    const next = failure(stream.next());
    await asked;
    if (how === 'return') await stream.return();
    else await expect(stream.throw(new Error('enough'))).rejects.toThrow('enough');
    expect(await next).toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });
});

describe('a model in JavaScript that never answers', () => {
  const programs = {
    step: samplers.ddim(schedule, { steps: 2 }),
    host: samplers['dpm-solver-adaptive'](schedule),
  };

  it.each(Object.entries(programs))('ends a %s program with its device', async (_, program) => {
    const { asked, ask } = silent();
    const device = Device.open({ device: 'cpu', threads: 1 });
    const running = failure(runProgram(program, { shape: [1, 1, 2, 2], model: ask, device }));
    await asked;
    await device.close();
    expect(await running).toMatchObject({ code: 'ERR_DPM_CLOSED', message: 'the device is closed' });
  });

  it('ends an estimate with its device', async () => {
    const { asked, ask } = silent();
    const device = Device.open({ device: 'cpu', threads: 1 });
    const model = { schedule, device, sampleShape: [1, 2, 2] as const, model: ask };
    const running = failure(estimateGamma(model, new Float32Array(8), { samples: 2 }));
    await asked;
    await device.close();
    expect(await running).toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });

  it.each(['ddim', 'dpm-solver-adaptive'] as const)('ends requests of its batcher, sampler %s', async (sampler) => {
    const { asked, ask } = silent();
    let isOpen = false;
    const evaluate = (x: Float32Array): Float32Array | Promise<never> => (isOpen ? ask() : x);
    const batcher = await createBatcher({ shape: [1, 2, 2], schedule, evaluate });
    isOpen = true;
    const running = failure(batcher.sample({ sampler, ...(sampler === 'ddim' && { steps: 2 }) }));
    await asked;
    await batcher.close();
    expect(await running).toMatchObject({ code: 'ERR_DPM_CLOSED', message: 'the batcher was closed' });
  });

  it('ends the opening of a batcher with its device', async () => {
    const { asked, ask } = silent();
    const device = Device.open({ device: 'cpu', threads: 1 });
    const opening = failure(createBatcher({ shape: [1, 2, 2], schedule, evaluate: ask, device }));
    await asked;
    await device.close();
    expect(await opening).toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });
});
