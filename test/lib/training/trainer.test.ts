// A trainer's steps: their numbers, their options, and how they end.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { Device, DpmError, Trainer, type StepMetrics, type TrainerOptions } from '../../../lib/index.js';
import { pathsIn, temporaryFolder } from '../../support/temporary.js';
import { tinyImages, tinyRun } from '../../support/training-data.js';
import { linesOf, trained, withoutTimes } from '../../support/training-runs.js';

const newFolder = pathsIn(temporaryFolder());

describe('a trainer', () => {
  it('takes steps one by one, in a loop, or all at once, with the same result', async () => {
    await using one = await Trainer.open(tinyRun());
    const single: StepMetrics[] = [];
    while (one.done < one.steps) single.push(await one.step());
    expect(single.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(single.every(({ rate, averageDecay }) => rate === 1e-3 && averageDecay > 0)).toBe(true);
    expect(single[5]!.loss).toBeGreaterThan(0);
    await expect(one.step()).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });

    await using looped = await Trainer.open(tinyRun());
    const inLoop: StepMetrics[] = [];
    for await (const step of looped) inLoop.push(step);
    expect(inLoop.map(withoutTimes)).toEqual(single.map(withoutTimes));

    const hooked: StepMetrics[] = [];
    await using all = await Trainer.open(tinyRun({ onStep: (step) => void hooked.push(step) }));
    const last = await all.run();
    expect(withoutTimes(last!)).toEqual(withoutTimes(single[5]!));
    expect(hooked.map(withoutTimes)).toEqual(single.map(withoutTimes));
    expect(await all.run()).toBeNull();

    const expected = await one.tensors('parameters');
    expect(await looped.tensors('parameters')).toEqual(expected);
    expect(await all.tensors('parameters')).toEqual(expected);
    expect(await all.tensors()).not.toEqual(expected);
    await expect(all.tensors('gradients' as never)).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });

  it('tells steps as they have been run, several at once where they are short', async () => {
    const single: StepMetrics[] = [];
    const settings = { steps: 60, checkpointEvery: 100 };
    await using one = await Trainer.open(tinyRun({ ...settings, onStep: (step) => void single.push(step) }));
    await one.run();
    const taken: (readonly StepMetrics[])[] = [];
    let isTold = false;
    const onSteps = async (steps: readonly StepMetrics[]): Promise<void> => {
      expect(isTold).toBe(false);
      isTold = true;
      await setTimeout(20);
      taken.push(steps);
      isTold = false;
    };
    await using all = await Trainer.open(tinyRun({ ...settings, onSteps }));
    await all.run();
    expect(taken.flat().map(withoutTimes)).toEqual(single.map(withoutTimes));
    expect(taken.length).toBeLessThan(30);
    expect(await all.tensors('parameters')).toEqual(await one.tensors('parameters'));
    taken.length = 0;
    await using stepped = await Trainer.open(tinyRun({ onSteps }));
    await stepped.step();
    expect(taken.map((steps) => steps.map(({ step }) => step))).toEqual([[1]]);
  });

  it.each([2, 3, 7])('has the same weights of %i threads as of one', async (threads) => {
    const network = { batch: 8, steps: 10 };
    expect(await trained({ ...network, threads })).toEqual(await trained(network));
  });

  it.each(
    Object.entries({
      batch: 4,
      accumulate: 2,
      seed: 4,
      rate: 2e-3,
      rateSchedule: 'cosine',
      warmup: 3,
      clip: 0.01,
      adamBeta1: 0.5,
      adamBeta2: 0.9,
      adamEpsilon: 1e-3,
      weightDecay: 0.1,
      flips: true,
      labelDropout: 0.9,
      prediction: 'v',
      snrGamma: 5,
      labels: undefined,
      data: tinyImages(13),
    }),
  )('learns otherwise with another %s', async (name, value) => {
    if (value === undefined) {
      await expect(Trainer.open(tinyRun({ labels: false }))).rejects.toThrow('has 6 classes, the data have no labels');
      return;
    }
    expect(await trained({ [name]: value })).not.toEqual(await trained());
  });

  it.each(Object.entries({ averageDecay: 0.1, averageSchedule: 'constant', averageGamma: 9, averagePower: 0.2 }))(
    'has another average with another %s',
    async (name, value) => {
      const averages = await Promise.all(
        [{}, { [name]: value }].map(async (changed) => {
          const schedule = name === 'averageGamma' || name === 'averagePower' ? { averageSchedule: 'power' } : {};
          await using trainer = await Trainer.open(tinyRun({ ...schedule, ...changed } as Partial<TrainerOptions>));
          await trainer.run();
          return [await trainer.tensors('average'), await trainer.tensors('parameters')];
        }),
      );
      expect(averages[1]![0]).not.toEqual(averages[0]![0]);
      expect(averages[1]![1]).toEqual(averages[0]![1]);
    },
  );

  it('counts the images of all batches of a step in its speed', async () => {
    await using trainer = await Trainer.open(tinyRun({ accumulate: 3 }));
    const { imagesPerSecond, seconds } = await trainer.step();
    expect(imagesPerSecond * seconds).toBeCloseTo(6, 6);
  });

  it('computes the same whatever it computes again', async () => {
    const [none, norms, blocks] = await Promise.all(
      (['none', 'norms', 'blocks'] as const).map(async (recompute) => {
        await using trainer = await Trainer.open(tinyRun({ recompute }));
        const step = await trainer.step();
        return { loss: step.loss, maps: trainer.memory.maps };
      }),
    );
    expect(none!.loss).toBe(norms!.loss);
    expect(blocks!.loss).toBeCloseTo(none!.loss, 6);
    expect(norms!.maps).toBeLessThan(none!.maps);
    expect(blocks!.maps).not.toBe(norms!.maps);
    await using standard = await Trainer.open(tinyRun());
    expect(standard.memory.maps).toBe(norms!.maps);
  });

  it('refuses a second call while it takes a step, and calls once it is closed', async () => {
    const trainer = await Trainer.open(tinyRun());
    const first = trainer.step();
    await expect(trainer.step()).rejects.toThrow('busy');
    await expect(trainer.tensors()).rejects.toThrow('busy');
    await first;
    expect(trainer.done).toBe(1);
    await trainer.close();
    await trainer.close();
    for (const call of [() => trainer.step(), () => trainer.run(), () => trainer.tensors()]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
    }
  });

  it('has no folder without out', async () => {
    await using trainer = await Trainer.open(tinyRun());
    await expect(trainer.save()).rejects.toThrow('without out');
    await expect(trainer.model()).rejects.toThrow('without out');
  });

  it('ends with what a hook throws, and may go on', async () => {
    const broken = new Error('enough');
    let isBroken = true;
    const onStep = ({ step }: StepMetrics): void => {
      if (step === 2 && isBroken) throw broken;
    };
    await using trainer = await Trainer.open(tinyRun({ onStep }));
    await trainer.step();
    await expect(trainer.step()).rejects.toBe(broken);
    isBroken = false;
    expect(await trainer.step()).toMatchObject({ step: 3 });
  });

  it('names the step whose loss is no number, and takes no other one', async () => {
    const data = tinyImages();
    const images = Float32Array.from(data.images, (level) => level / 255).fill(NaN, 2 * 192, 3 * 192);
    const out = newFolder();
    const told: number[] = [];
    const onSteps = (steps: readonly StepMetrics[]): void => void told.push(...steps.map(({ step }) => step));
    await using trainer = await Trainer.open(
      tinyRun({ data: { ...data, images }, steps: 12, checkpointEvery: 1, out, onSteps }),
    );
    const failure = await trainer.run().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DpmError);
    const { code, message } = failure as DpmError;
    expect(code).toBe('ERR_DPM_NOT_FINITE');
    expect(message).toBe(
      `step ${trainer.done + 1}: the loss is not finite; the last checkpoint is ${join(out, 'checkpoints', `step-${trainer.done}`)}`,
    );
    expect(trainer.done).toBeGreaterThan(0);
    await expect(trainer.step()).rejects.toThrow(message);
    expect((await linesOf(out)).length).toBe(trainer.done);
    expect(told).toEqual(Array.from({ length: trainer.done }, (_, i) => i + 1));
    expect((await trainer.tensors()).get('conv_in.weight')!.every(Number.isFinite)).toBe(true);
    await trainer.close();
    await using again = await Trainer.open(tinyRun({ data: { ...data, images }, steps: 12, checkpointEvery: 1, out }));
    await expect(again.run()).rejects.toThrow(message);
  });

  it('tells the steps before one whose loss is no number, of those that were run at once, too', async () => {
    const data = tinyImages();
    const images = Float32Array.from(data.images, (level) => level / 255).fill(NaN, 2 * 192, 3 * 192);
    const settings = { data: { ...data, images }, steps: 40, batch: 1, seed: 5 };
    const count = async (hook: 'onStep' | 'onSteps'): Promise<number> => {
      let steps = 0;
      const add = (taken: number): void => {
        steps += taken;
      };
      const hooks = {
        onStep: () => {
          add(1);
        },
        onSteps: (taken: readonly object[]) => {
          add(taken.length);
        },
      };
      await using trainer = await Trainer.open(tinyRun({ ...settings, [hook]: hooks[hook] }));
      await expect(trainer.run()).rejects.toMatchObject({ code: 'ERR_DPM_NOT_FINITE' });
      expect(trainer.done).toBe(steps);
      return steps;
    };
    const single = await count('onStep');
    expect(single).toBeGreaterThan(1);
    expect(await count('onSteps')).toBe(single);
  });

  it('writes no checkpoint where a loop fails', async () => {
    const data = tinyImages();
    const images = Float32Array.from(data.images, (level) => level / 255).fill(NaN, 2 * 192, 3 * 192);
    const out = newFolder();
    await using trainer = await Trainer.open(
      tinyRun({ data: { ...data, images }, steps: 12, checkpointEvery: 12, out }),
    );
    const steps: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const { step } of trainer) steps.push(step);
    };
    await expect(loop()).rejects.toThrow(/the loss is not finite; there is no checkpoint yet$/);
    expect(steps.length).toBeGreaterThan(0);
    expect(existsSync(join(out, 'checkpoints'))).toBe(false);
  });

  it('says what it learns', async () => {
    const data = { ...tinyImages(7, [3, 8, 16]), broken: 2 };
    await using trainer = await Trainer.open(tinyRun({ data, network: undefined }));
    const { images, broken, sampleShape, classes, steps } = trainer;
    expect({ images, broken, sampleShape, classes, steps }).toEqual({
      images: 7,
      broken: 2,
      sampleShape: [3, 8, 16],
      classes: 6,
      steps: 6,
    });
  });

  it('keeps a device that was open, and closes its own', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const before = device.memory().host;
    const trainer = await Trainer.open(tinyRun({ device, threads: undefined }));
    expect(trainer.device).toBe(device);
    await trainer.step();
    await trainer.close();
    expect(device.memory().host).toBe(before);
    await expect(device.tensor([1]).read()).resolves.toBeDefined();
    const own = await Trainer.open(tinyRun());
    await own.close();
    expect(() => own.device.tensor([1])).toThrow('closed');
    await expect(Trainer.open(tinyRun({ device, threads: 2 }))).rejects.toThrow('threads');
  });

  it('lets go of everything where it cannot be opened', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const before = device.memory().host;
    const out = newFolder();
    const attempt = Trainer.open(tinyRun({ device, threads: undefined, out, labelDropout: 2 }));
    await expect(attempt).rejects.toThrow('labelDropout');
    const wide = { ...tinyImages(), images: new Uint8Array(12 * 48), shape: [12, 3, 4, 4] as const };
    await expect(Trainer.open(tinyRun({ device, threads: undefined, out, data: wide }))).rejects.toThrow('data.images');
    process.env.DPM_MEMORY = '0.01';
    const close = vi.spyOn(Device.prototype, 'close');
    onTestFinished(() => {
      close.mockRestore();
    });
    try {
      const large = Trainer.open(tinyRun({ device, threads: undefined, out, batch: 2048 }));
      await expect(large).rejects.toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
      expect(close).not.toHaveBeenCalled();
      const own = Trainer.open(tinyRun({ out, batch: 2048 }));
      await expect(own).rejects.toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
      expect(close).toHaveBeenCalledOnce();
    } finally {
      delete process.env.DPM_MEMORY;
    }
    expect(device.memory().host).toBe(before);
    await using trainer = await Trainer.open(tinyRun({ out }));
    expect(trainer.begun).toBe(0);
  });
});
