// Models written in JavaScript behind a batch.
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import {
  createBatcher,
  Device,
  DiffusionModel,
  linear,
  NoiseSchedule,
  samplers,
  stepProgram,
  stepRecord,
  type BatchEvaluate,
  type DpmError,
} from '../../../lib/index.js';
import { batchBytes } from '../../../lib/batch/batches.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

const PIXELS = 28 * 28;
const shape = [1, 28, 28] as const;
let model: DiffusionModel;
let evaluate: BatchEvaluate;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
  evaluate = async (x, t) => (await model.unet.forward(x, t)).out;
});
afterAll(() => model.close());

describe('a batcher over a function', () => {
  it('gives what the network itself gives', async () => {
    await using batcher = await createBatcher({ shape, schedule: model.schedule, evaluate, rows: 4 });
    const requests = (['ddim', 'unipc', 'ancestral', 'heun', 'dpm-solver-2'] as const).map((sampler, seed) => ({
      sampler,
      steps: 4 + seed,
      seed,
      count: 1 + (seed % 2),
    }));
    const together = await Promise.all(requests.map((request) => batcher.sample(request)));
    for (const [i, request] of requests.entries()) {
      expect(together[i]!.images.data).toEqual((await model.sample(request)).images.data);
    }
    expect(batcher.stats().rows).toBeGreaterThan(2 * batcher.stats().steps);
    const x = new Float32Array(2 * PIXELS).fill(0.25);
    expect(await batcher.forward(x, [3, 40])).toEqual((await model.unet.forward(x, [3, 40])).out);
    const adaptive = { sampler: 'dpm-solver-adaptive', seed: 1, count: 2 } as const;
    expect((await batcher.sample(adaptive)).images.data).toEqual((await model.sample(adaptive)).images.data);
  });

  it('tells waits by the time that the function takes now', { timeout: 60_000 }, async () => {
    let milliseconds = 10;
    await using batcher = await createBatcher({
      shape: [1, 1, 2],
      schedule: NoiseSchedule.linear(),
      rows: 1,
      async evaluate(x) {
        await sleep(milliseconds);
        return x;
      },
    });
    const run = (steps: number): Promise<unknown> => batcher.sample({ sampler: 'ddim', steps });
    await run(30);
    const { slowdown: before } = batcher.stats();
    expect(before).toBeLessThan(1.7);
    milliseconds = 60;
    const running = run(100);
    await sleep(4000);
    expect(batcher.stats().slowdown).toBeGreaterThan(3);
    expect(batcher.expectedWait()).toBeGreaterThan(1000);
    milliseconds = 10;
    await running;
    await run(400);
    expect(batcher.stats().slowdown).toBeLessThan(2);
  });

  it('refuses what it has accepted where that waits for longer than it may', { timeout: 60_000 }, async () => {
    let milliseconds = 2;
    await using batcher = await createBatcher({
      shape: [1, 1, 2],
      schedule: NoiseSchedule.linear(),
      rows: 1,
      maxWait: 500,
      order: 'arrival',
      async evaluate(x) {
        await sleep(milliseconds);
        return x;
      },
    });
    await batcher.sample({ sampler: 'ddim', steps: 30 });
    const from = performance.now();
    const begun = batcher.sample({ sampler: 'ddim', steps: 40 });
    const waits = batcher.sample({ sampler: 'ddim', steps: 40 });
    // The function becomes slower than it was when both were accepted.
    milliseconds = 60;
    const refused = await failure(waits);
    expect(refused.code).toBe('ERR_DPM_OVERLOADED');
    expect(refused.message).toMatch(/^the request has waited for more than maxWait of 500 ms/);
    expect(refused.stack).not.toContain(' at ');
    const waited = performance.now() - from;
    expect(waited).toBeGreaterThan(540);
    expect(waited).toBeLessThan(1000);
    // What is left of the other request takes 1,800 ms as slow as the function is now, and 60 as fast as it was.
    expect(refused.retryAfterMs).toBeGreaterThan(120);
    expect(refused.retryAfterMs).toBeLessThan(2500);
    expect(batcher.stats().refused).toEqual({ wait: 1, deadline: 0, bytes: 0 });
    // A request that has begun goes on: it takes more than two seconds.
    await begun;
    expect(performance.now() - from).toBeGreaterThan(2000);
    expect(batcher.stats().unfinished).toBe(0);
  });

  it('gives its function labels and rows of guided samples', async () => {
    const seen: { t: number[]; labels: number[] | null }[] = [];
    await using batcher = await createBatcher({
      shape: [1, 1, 2],
      schedule: NoiseSchedule.linear(),
      classes: 3,
      rows: 4,
      evaluate(x, t, labels) {
        seen.push({ t: [...t], labels: labels && [...labels] });
        return x.map((_, i) => (labels?.[Math.floor(i / 2)] ?? -1) + 1);
      },
    });
    seen.length = 0;
    const program = stepProgram([stepRecord({ time: 7, x: linear({ out: 1 }) })]);
    const { images } = await batcher.run(program, {
      count: 2,
      classLabels: [0, 1],
      guidance: [3, 1],
      unconditionalLabel: 2,
    });
    expect(seen).toEqual([{ t: [7, 7, 7], labels: [1, 0, 2] }]);
    // The guided one takes more work and comes second: 3 * 1 - 2 * 3. The other: 2.
    expect([...images.data]).toEqual([-3, -3, 2, 2]);
    const guided = { sampler: 'ddim', steps: 3, count: 2, classLabels: 1, guidance: [3, 1] } as const;
    let evaluations = 0;
    for await (const event of batcher.stream(guided)) if (event.type === 'done') evaluations = event.evaluations;
    expect(evaluations).toBe(3 * (2 + 1));
    const host = { sampler: 'dpm-solver-adaptive', seed: 1, classLabels: 1, unconditionalLabel: 2 } as const;
    seen.length = 0;
    await batcher.sample({ ...host, guidance: 2 });
    expect(new Set(seen.map(({ labels }) => labels![0]))).toEqual(new Set([1, 2]));
    await expect(batcher.run(program, { count: 2 })).rejects.toThrow(/classLabels/);
    await expect(batcher.run(program, { classLabels: 3 })).rejects.toThrow(/a class label is 3/);
  });

  it('reads a second output where there is one', async () => {
    const both: BatchEvaluate = (x) => ({ out: x.map((value) => value / 2), head: x.map(() => 1) });
    await using batcher = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      head: true,
      evaluate: both,
      rows: 2,
    });
    const { images } = await batcher.sample({ sampler: 'npr-ddpm', steps: 4 });
    expect(images.data.every(Number.isFinite)).toBe(true);
    await using without = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      evaluate: both,
      rows: 2,
    });
    await expect(without.sample({ sampler: 'npr-ddpm', steps: 4 })).rejects.toThrow(/second output 'npr'/);
    await using missing = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      head: true,
      evaluate: (x) => x,
      rows: 2,
    });
    await expect(missing.sample({ sampler: 'npr-ddpm', steps: 4 })).rejects.toThrow(
      /evaluate has to return \{ out, head \}/,
    );
  });

  it('may change the states that it is given, which adaptive samplers evaluate twice with guidance', async () => {
    const drawn = async (isChanging: boolean): Promise<Float32Array> => {
      await using batcher = await createBatcher({
        shape: [1, 2, 2],
        schedule: NoiseSchedule.linear(),
        classes: 3,
        rows: 1,
        evaluate: (x, _, labels) => {
          const out = x.map((value) => (labels![0] === 1 ? 0.3 : 0.2) * value);
          if (isChanging) x.fill(7);
          return out;
        },
      });
      const guided = { sampler: 'dpm-solver-adaptive', classLabels: 1, guidance: 2, seed: 1 } as const;
      return (await batcher.sample(guided)).images.data;
    };
    expect(await drawn(true)).toEqual(await drawn(false));
  });

  it('passes on what its function throws, to those that take part', async () => {
    const mine = new RangeError('mine');
    let fails = false;
    const failing: BatchEvaluate = (x, t) => {
      if (fails && t.includes(999)) throw mine;
      return x;
    };
    await using batcher = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      evaluate: failing,
      rows: 1,
    });
    fails = true;
    const program = (time: number) => stepProgram([1, 2, 3].map(() => stepRecord({ time, x: linear({ out: 1 }) })));
    const outcomes = await Promise.allSettled([
      batcher.run(program(5)),
      batcher.run(program(999)),
      batcher.run(program(6)),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((outcomes[1] as PromiseRejectedResult).reason).toBe(mine);
    await using wrong = await createBatcher({
      shape: [1, 2, 2],
      evaluate: (x, t) => (t[0] === 5 ? x.subarray(1) : x),
      rows: 1,
    });
    const error = (await wrong.run(program(5)).catch((reason: unknown) => reason)) as DpmError;
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_TENSOR_SHAPE',
      'the model returned 3 elements as out for a state of 4',
    ]);
    await wrong.run(program(6));
    await using adaptive = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      rows: 1,
      evaluate(x, t) {
        if (t[0] !== 0) throw mine;
        return x;
      },
    });
    await expect(adaptive.sample({ sampler: 'dpm-solver-adaptive' })).rejects.toBe(mine);
  });

  it.each(['its own', 'a shared'])('on %s device is closed while its function still works', async (whose) => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    let asked = false;
    const batcher = await createBatcher({
      shape: [1, 2, 2],
      rows: 1,
      ...(whose === 'a shared' && { device }),
      async evaluate(x, t) {
        if (t[0] === 5) {
          asked = true;
          await sleep(50);
        }
        return x;
      },
    });
    const program = stepProgram([stepRecord({ time: 5, x: linear({ out: 1 }) })]);
    const running = batcher.run(program).catch((error: unknown) => (error as DpmError).code);
    await expect.poll(() => asked).toBe(true);
    await batcher.close();
    expect(await running).toBe('ERR_DPM_CLOSED');
    await sleep(60);
  });

  it('lets requests go while its function hangs', async () => {
    let hangs = false;
    let answer: (() => void) | null = null;
    await using batcher = await createBatcher({
      shape: [1, 2, 2],
      rows: 1,
      async evaluate(x) {
        if (hangs) await new Promise<void>((resolve) => (answer = resolve));
        return x;
      },
    });
    hangs = true;
    const program = stepProgram([stepRecord({ time: 5, x: linear({ out: 1 }) })]);
    const controller = new AbortController();
    const code = (error: unknown): string => (error as DpmError).code;
    const running = batcher.run(program, { signal: controller.signal }).catch(code);
    const waiting = batcher.run(program, { deadline: 1000, signal: controller.signal }).catch(code);
    await expect.poll(() => answer !== null).toBe(true);
    controller.abort();
    expect(await Promise.all([running, waiting])).toEqual(['ERR_DPM_ABORTED', 'ERR_DPM_ABORTED']);
    hangs = false;
    answer!();
    await batcher.run(program);
  });

  it('may give the same array again, and write into what it is given', async () => {
    const out = new Float32Array(8);
    await using batcher = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      classes: 2,
      rows: 2,
      evaluate(x, _t, labels) {
        out.set(x.map((value) => value * (labels?.[0] === 0 ? 0.5 : 0.25)));
        x.fill(100);
        return out.subarray(0, x.length);
      },
    });
    await using plain = await createBatcher({
      shape: [1, 2, 2],
      schedule: NoiseSchedule.linear(),
      classes: 2,
      rows: 2,
      evaluate: (x, _t, labels) => x.map((value) => value * (labels?.[0] === 0 ? 0.5 : 0.25)),
    });
    const request = {
      sampler: 'dpm-solver-adaptive',
      seed: 2,
      classLabels: 0,
      guidance: 2,
      unconditionalLabel: 1,
    } as const;
    expect((await batcher.sample(request)).images.data).toEqual((await plain.sample(request)).images.data);
  });

  it('has a cpu of one thread where no device is named', async () => {
    const open = vi.spyOn(Device, 'open');
    onTestFinished(() => {
      open.mockRestore();
    });
    for (const device of [undefined, 'reference']) {
      await using _ = await createBatcher({ shape: [1, 2, 2], evaluate: (x) => x, rows: 1, device });
    }
    expect(open.mock.calls).toEqual([[{ device: 'cpu', threads: 1 }], [{ device: 'reference', threads: 1 }]]);
  });

  it('closes a device of its own, and no other', async () => {
    const close = vi.spyOn(Device.prototype, 'close');
    onTestFinished(() => {
      close.mockRestore();
    });
    const device = Device.open({ device: 'cpu', threads: 1 });
    const options = { shape: [1, 2, 2], evaluate: (x: Float32Array) => x, rows: 1 } as const;
    await (await createBatcher({ ...options, device })).close();
    expect(close).not.toHaveBeenCalled();
    await (await createBatcher(options)).close();
    expect(close).toHaveBeenCalledOnce();
    const wrong = (): never => {
      throw new Error('wrong');
    };
    await expect(createBatcher({ ...options, evaluate: wrong, device })).rejects.toThrow('wrong');
    expect(close).toHaveBeenCalledOnce();
    await expect(createBatcher({ ...options, evaluate: wrong })).rejects.toThrow('wrong');
    expect(close).toHaveBeenCalledTimes(2);
    await device.close();
  });

  it('has rows for a guided sample where there are labels, however long a step takes', async () => {
    for (const [classes, rows] of [
      [0, 1],
      [1, 2],
    ] as const) {
      const options = { shape: [1, 2, 2], evaluate: (x: Float32Array) => x, classes, stepTarget: 1e-9 } as const;
      await using batcher = await createBatcher(options);
      expect(batcher.capacity.rows).toBe(rows);
    }
  });

  it('has a slot for each of its rows at least', async () => {
    const options = { shape: [1, 2, 2], evaluate: (x: Float32Array) => x, rows: 2 } as const;
    await using batcher = await createBatcher({ ...options, slots: 2 });
    expect(batcher.capacity).toMatchObject({ rows: 2, slots: 2 });
    await expect(createBatcher({ ...options, slots: 1 })).rejects.toThrow('slots is 1, it has to be at least rows, 2');
  });

  it('counts second outputs in its memory', async () => {
    const evaluate: BatchEvaluate = (x) => ({ out: x, head: x });
    for (const head of [false, true]) {
      const memoryBudget = batchBytes({ image: 4, out: 4, head: head ? 4 : 0, rowBytes: 0 }, 2, 10);
      const options = { shape: [1, 2, 2], rows: 2, slots: 50, memoryBudget, head } as const;
      await using batcher = await createBatcher({ ...options, evaluate: head ? evaluate : (x) => x });
      expect(batcher.capacity).toMatchObject({ rows: 2, slots: 10 });
    }
  });

  it('works on a device that is open, and refuses what is wrong', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const identity: BatchEvaluate = (x) => x;
    const batcher = await createBatcher({ shape: [1, 2, 2], evaluate: identity, device, rows: 2 });
    await expect(batcher.sample({ sampler: 'ddim', steps: 2 })).rejects.toThrow(
      /schedule is undefined, it has to be given/,
    );
    await batcher.run(samplers.ddim(NoiseSchedule.linear(), { steps: 2 }));
    await batcher.close();
    device.tensor([1]).free();
    const wrong: [object, RegExp][] = [
      [{ shape: [1, 2] }, /shape is/],
      [{ shape: undefined }, /shape is undefined/],
      [{ evaluate: undefined }, /evaluate is undefined/],
      [{ classes: -1 }, /classes is -1/],
      [{ schedule: {} }, /schedule/],
      [{ head: 1 }, /head is 1/],
      [{ rows: 0 }, /rows is 0/],
      [{ model: 1 }, /no option 'model'/],
    ];
    for (const [options, message] of wrong) {
      await expect(createBatcher({ shape: [1, 2, 2], evaluate: identity, ...options } as never)).rejects.toThrow(
        message,
      );
    }
    const mine = new Error('mine');
    const failing = createBatcher({
      shape: [1, 2, 2],
      evaluate() {
        throw mine;
      },
    });
    await expect(failing).rejects.toBe(mine);
  });
});
