// Requests that join a running batch get what they would get alone, or an error that says why not.
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Batcher } from '../../../lib/index.js';
import {
  Device,
  DiffusionModel,
  linear,
  samplerNames,
  samplers,
  stepProgram,
  stepRecord,
  type BatchEvent,
  type DpmError,
  type ImageBatch,
  type PreviewPlace,
  type RunResult,
  type SampleTrace,
  type SampleOptions,
} from '../../../lib/index.js';
import { batchBytes } from '../../../lib/serving/lanes.js';
import { maxDifference } from '../../support/golden.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

const path = packagePath('models/mnist');
const PIXELS = 28 * 28;
let model: DiffusionModel;
let batcher: Batcher;

beforeAll(async () => {
  model = await DiffusionModel.load(path, { device: 'cpu' });
  batcher = await model.batcher({ rows: 4, slots: 8 });
});
afterAll(() => model.close());

function expectSame(actual: RunResult, expected: RunResult): void {
  expect(actual.images.shape).toEqual(expected.images.shape);
  expect(actual.images.range).toEqual(expected.images.range);
  expect(actual.images.data).toEqual(expected.images.data);
  expect(actual.images.toUint8()).toEqual(expected.images.toUint8());
  expect(actual.snapshots.map(({ record }) => record)).toEqual(expected.snapshots.map(({ record }) => record));
  actual.snapshots.forEach(({ images }, i) => {
    expect(images.data).toEqual(expected.snapshots[i]!.images.data);
  });
}

function noise(samples: number, slices: number): Float32Array[] {
  return Array.from({ length: slices }, (_, slice) =>
    Float32Array.from({ length: samples * PIXELS }, (_, i) => Math.sin(12.9898 * (i + 1) * (slice + 1))),
  );
}

describe('a request', () => {
  it('gives what model.sample gives, whatever else is in the batch', async () => {
    const adaptive = ['dpm-solver-adaptive', 'predictor-corrector'];
    const requests: SampleOptions[] = samplerNames
      .filter((name) => !adaptive.includes(name) && name !== 'scheduler')
      .map(
        (sampler, i) => ({ sampler, steps: 5 + (i % 7), count: 1 + (i % 3), seed: i, first: i % 2 }) as SampleOptions,
      );
    const together = await Promise.all(requests.map((request) => batcher.sample(request as never)));
    for (const [i, request] of requests.entries()) expectSame(together[i]!, await model.sample(request));
  }, 60_000);

  it('of an adaptive sampler runs beside the batch', async () => {
    const request = { sampler: 'dpm-solver-adaptive', seed: 3, count: 2 } as const;
    const [one, two] = await Promise.all([batcher.sample(request), batcher.sample({ ...request, seed: 4 })]);
    expectSame(one, await model.sample(request));
    expectSame(two, await model.sample({ ...request, seed: 4 }));
    await using none = await model.batcher({ rows: 1, hostPrograms: 0 });
    const refused = await failure(none.sample(request));
    expect([refused.code, refused.message]).toEqual([
      'ERR_DPM_UNSUPPORTED',
      'this batcher runs no adaptive samplers: hostPrograms is 0',
    ]);
    const previewed = batcher.sample({ ...request, previewOf: 'prediction' });
    expect((await failure(previewed)).code).toBe('ERR_DPM_ARGUMENT');
  });

  it('without a sampler follows the scheduler file', async () => {
    expectSame(await batcher.sample({ steps: 4, seed: 2 }), await model.sample({ steps: 4, seed: 2 }));
  });

  it.each<[string, Omit<SampleOptions<'ddpm'>, 'sampler'>]>([
    ['initial states', { init: noise(2, 1)[0]!, count: 2 }],
    ['noise', { noise: noise(2, 7), count: 2 }],
    ['levels', { format: 'uint8', count: 2 }],
    ['snapshots', { snapshotEvery: 3, count: 2 }],
    ['snapshots of levels', { snapshotEvery: 2, count: 1, format: 'uint8' }],
  ])('takes %s', async (_, options) => {
    const request = { sampler: 'ddpm', steps: 8, seed: 11, ...options } as const;
    const others = Array.from({ length: 3 }, (_, seed) => batcher.sample({ sampler: 'ddim', steps: 6, seed }));
    expectSame(await batcher.sample(request), await model.sample(request));
    await Promise.all(others);
  });

  it('runs programs of its caller, one per sample', async () => {
    const programs = [samplers.ddim(model.schedule, { steps: 4 }), samplers.unipc(model.schedule, { steps: 7 })];
    expectSame(await batcher.run(programs, { seed: 5 }), await model.run(programs, { seed: 5 }));
    // What a caller changes after a run is another program.
    const records = [stepRecord({ time: 5, x: linear({ out: 0.5 }) })];
    const program = stepProgram(records);
    const before = await batcher.run(program, { seed: 5 });
    records[0] = stepRecord({ time: 5, x: linear({ out: 0.25 }) });
    const after = await batcher.run(program, { seed: 5 });
    expect(after.images.data).toEqual(before.images.data.map((value) => value / 2));
  });

  it('shows its states and data predictions', async () => {
    const shown = async (previewOf: 'state' | 'prediction') => {
      const previews: (PreviewPlace & { images: ImageBatch })[] = [];
      const { images } = await batcher.sample({
        sampler: 'dpm-solver-2',
        steps: 6,
        seed: 9,
        count: 2,
        previewEvery: 2,
        previewOf,
        onPreview: (images, place) => previews.push({ images, ...place }),
      });
      expect(previews.map(({ record, first }) => [record, first]).sort()).toEqual([
        [2, 0],
        [2, 1],
        [4, 0],
        [4, 1],
        [6, 0],
        [6, 1],
      ]);
      return { images, previews };
    };
    const states = await shown('state');
    const last = states.previews.filter(({ record }) => record === 6);
    expect(last[0]!.images.shape).toEqual([1, 1, 28, 28]);
    expect(last[0]!.images.data).toEqual(states.images.slice(0, 1).data);
    // A solver of the noise prediction keeps no data prediction, but the one of the same evaluation is shown.
    const first = async (form: 'data' | 'noise'): Promise<Float32Array> => {
      const images: ImageBatch[] = [];
      const onPreview = (image: ImageBatch): void => void images.push(image);
      const options = { sampler: 'unipc', form, clip: 'none', steps: 6, seed: 9 } as const;
      await batcher.sample({ ...options, previewOf: 'prediction', onPreview });
      return images[0]!.data;
    };
    const [data, noise] = [await first('data'), await first('noise')];
    expect(maxDifference(data, states.previews[0]!.images.data)).toBeGreaterThan(0.5);
    expect(maxDifference(noise, data)).toBeLessThan(1e-4 * Math.max(...data.map(Math.abs)));
  });

  it('calls its functions in the asynchronous context of the call', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Set<string | undefined>();
    const note = (): void => {
      seen.add(storage.getStore());
    };
    await storage.run('mine', () => batcher.sample({ sampler: 'ddim', steps: 4, onProgress: note, onPreview: note }));
    expect([...seen]).toEqual(['mine']);
  });

  it('that throws in its function ends alone', async () => {
    const other = batcher.sample({ sampler: 'ddim', steps: 30, seed: 1 });
    const thrown = new RangeError('mine');
    const failing = batcher.sample({
      sampler: 'ddim',
      steps: 30,
      onProgress() {
        throw thrown;
      },
    });
    await expect(failing).rejects.toBe(thrown);
    expectSame(await other, await model.sample({ sampler: 'ddim', steps: 30, seed: 1 }));
  });
});

describe('forward', () => {
  it('joins the batch: eight callers share one evaluation', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    await using batch = await own.batcher({ rows: 8 });
    const states = Array.from({ length: 8 }, (_, i) => noise(1, i + 1)[i]!);
    // While the engine is busy, all of them arrive.
    const busy = own.unet.forward(noise(64, 1)[0]!, 7);
    const together = await Promise.all(states.map((x, i) => batch.forward(x, 100 * i)));
    await busy;
    expect(batch.stats()).toMatchObject({ steps: 1, rows: 8, finished: 8 });
    for (const [i, x] of states.entries()) {
      expect(together[i]).toEqual((await own.unet.forward(x, 100 * i)).out);
    }
  });

  it('takes several samples and times', async () => {
    const x = noise(3, 1)[0]!;
    expect(await batcher.forward(x, [1, 20, 300])).toEqual((await model.unet.forward(x, [1, 20, 300])).out);
    expect(await batcher.forward(x, 50)).toEqual((await model.unet.forward(x, 50)).out);
    await expect(batcher.forward(x, [1, 2])).rejects.toThrow(/t has 2 times for 3 samples/);
    await expect(batcher.forward(x.subarray(1), 1)).rejects.toThrow(/x has 2351 elements, a sample has 784/);
    await expect(batcher.forward([1] as never, 1)).rejects.toThrow(/x is \[1\], it has to be a Float32Array/);
    await expect(batcher.forward(x, Number.NaN)).rejects.toThrow(/t is NaN/);
    await expect(batcher.forward(x, 1, { classLabels: [0, 0, 0] })).rejects.toThrow(/not class-conditional/);
    await expect(batcher.forward(x, 1, { label: 1 } as never)).rejects.toThrow(/no option 'label'/);
  });
});

describe('the end of a request', () => {
  it('comes when its signal aborts', async () => {
    const controller = new AbortController();
    let start: () => void = () => undefined;
    const started = new Promise<void>((resolve) => {
      start = resolve;
    });
    const aborted = batcher.sample({
      sampler: 'ddpm',
      steps: 1000,
      signal: controller.signal,
      onProgress: () => {
        start();
      },
    });
    await started;
    controller.abort('enough');
    const error = await failure(aborted);
    expect([error.code, error.cause]).toEqual(['ERR_DPM_ABORTED', 'enough']);
    expect((await failure(batcher.sample({ sampler: 'ddim', steps: 2, signal: controller.signal }))).code).toBe(
      'ERR_DPM_ABORTED',
    );
    expect(batcher.stats()).toMatchObject({ resident: 0, waiting: 0, unfinished: 0, backlog: 0 });
  });

  it('comes at its deadline', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    await using batch = await own.batcher({ rows: 2 });
    // The engine is busy for longer than that.
    const busy = own.unet.forward(noise(512, 1)[0]!, 7);
    const error = await failure(batch.sample({ sampler: 'ddim', steps: 2, deadline: 30 }));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_DEADLINE',
      'the request was not done within its deadline of 30 ms',
    ]);
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(1);
    await busy;
    await batch.sample({ sampler: 'ddim', steps: 2, deadline: 30_000 });
    expect(batch.stats()).toMatchObject({ cancelled: 1, finished: 2 });
  });

  it('comes with that of the batcher: a hundred of them are all settled', async () => {
    const own = await DiffusionModel.load(path, { device: 'cpu' });
    const batch = await own.batcher({ rows: 4, maxWait: Infinity });
    const first = batch.sample({ sampler: 'ddim', steps: 2 });
    const many = Array.from({ length: 100 }, (_, seed) =>
      failure(
        batch.sample({
          sampler: seed % 10 === 0 ? 'dpm-solver-adaptive' : 'ddpm',
          seed,
          ...(seed % 10 > 0 && { steps: 1000 }),
        }),
      ),
    );
    await first;
    await Promise.all([batch.close(), batch.close()]);
    expect(new Set((await Promise.all(many)).map(({ code }) => code))).toEqual(new Set(['ERR_DPM_CLOSED']));
    const late = await failure(batch.sample({ sampler: 'ddim', steps: 2 }));
    expect([late.code, late.message]).toEqual(['ERR_DPM_CLOSED', 'the batcher is closed']);
    // The model is not.
    await own.sample({ sampler: 'ddim', steps: 2 });
    await own.close();
  });

  it('comes with that of a model that shares its device, whose batcher is being opened', async () => {
    await using device = Device.open({ device: 'cpu' });
    const own = await DiffusionModel.load(path, { device });
    const opening = failure(own.batcher({ rows: 2 }));
    await own.close();
    expect((await opening).code).toBe('ERR_DPM_CLOSED');
  });

  it('comes with that of the model', async () => {
    const own = await DiffusionModel.load(path, { device: 'cpu' });
    const batch = await own.batcher({ rows: 4 });
    const running = failure(batch.sample({ sampler: 'ddpm', steps: 1000 }));
    await own.close();
    expect((await running).code).toBe('ERR_DPM_CLOSED');
    expect((await failure(batch.forward(noise(1, 1)[0]!, 3))).code).toBe('ERR_DPM_CLOSED');
  });

  it('is waited for by drain', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    const batch = await own.batcher({ rows: 4 });
    let done = 0;
    const work = Array.from({ length: 6 }, (_, seed) =>
      batch.sample({ sampler: 'ddim', steps: 20, seed }).then(() => ++done),
    );
    await batch.drain();
    expect(done).toBe(6);
    const refused = await failure(batch.sample({ sampler: 'ddim', steps: 2 }));
    expect([refused.code, refused.message]).toEqual(['ERR_DPM_CLOSED', 'the batcher takes no more requests']);
    await Promise.all(work);
  });
});

describe('a stream', () => {
  it('tells of its request in order', async () => {
    const events: BatchEvent[] = [];
    const request = { sampler: 'ddim', steps: 6, count: 2, seed: 4 } as const;
    for await (const event of batcher.stream({ ...request, previewEvery: 3 })) events.push(event);
    expect(events[0]).toEqual({ type: 'accepted', expectedWait: 0 });
    const { images } = await model.sample(request);
    const shown = events.filter((event) => event.type === 'image');
    expect(shown.map(({ sample }) => sample).sort()).toEqual([0, 1]);
    for (const { sample, image } of shown) expect(image.data).toEqual(images.slice(sample, sample + 1).data);
    expect(events.filter(({ type }) => type === 'preview')).toHaveLength(4);
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.at(-1)).toEqual({ type: 'progress', done: 12, total: 12 });
    const last = events.at(-1)!;
    expect(last).toMatchObject({ type: 'done', evaluations: 12 });
    if (last.type === 'done') expect(last.ran).toBeGreaterThan(0);
  });

  it('ends its request when the loop is left', async () => {
    const before = batcher.stats().cancelled;
    for await (const event of batcher.stream({ sampler: 'ddpm', steps: 1000 })) {
      if (event.type === 'progress') break;
    }
    expect(batcher.stats()).toMatchObject({ cancelled: before + 1, resident: 0, unfinished: 0 });
  });

  it('keeps the newest progress alone for a reader who is slow', async () => {
    const stream = batcher.stream({ sampler: 'ddpm', steps: 200 });
    expect((await stream.next()).value).toMatchObject({ type: 'accepted' });
    while (batcher.stats().unfinished > 0) await sleep(5);
    const rest: BatchEvent[] = [];
    for await (const event of stream) rest.push(event);
    expect(rest.map(({ type }) => type)).toEqual(['progress', 'image', 'done']);
  });

  it('refuses more previews than it would keep', async () => {
    const request = { sampler: 'ddim', steps: 60 } as const;
    expect(() => batcher.stream({ ...request, previewEvery: 3, count: 5 })).toThrow(
      'previews are for at most 4 samples, count is 5',
    );
    expect(() => batcher.stream({ ...request, snapshotEvery: 3 })).toThrow(/snapshotEvery is for requests/);
    expect((await failure(batcher.stream({ ...request, previewEvry: 3 } as never).next())).message).toMatch(
      /previewEvry/,
    );
    const many = await failure(batcher.stream({ ...request, previewEvery: 2 }).next());
    expect(many.message).toBe('previewEvery of 2 makes 30 previews of a sample, at most 20 are kept for a reader');
    await batcher.stream({ ...request, previewEvery: 3 }).return();
  });

  it('is left while its reader waits for an event', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    await using batch = await own.batcher({ rows: 1 });
    const first = failure(batch.sample({ sampler: 'ddpm', steps: 1000, priority: 'high' }));
    const stream = batch.stream({ sampler: 'ddim', steps: 5 });
    await stream.next();
    // Nothing happens before the other one is done.
    const waiting = stream.next();
    await stream.return();
    expect((await waiting).done).toBe(true);
    expect(batch.stats()).toMatchObject({ cancelled: 1, unfinished: 1 });
    await batch.close();
    expect((await first).code).toBe('ERR_DPM_CLOSED');
  });

  it('of an adaptive sampler has no previews', async () => {
    const events: string[] = [];
    for await (const { type } of batcher.stream({ sampler: 'dpm-solver-adaptive', count: 2 })) events.push(type);
    expect(events[0]).toBe('accepted');
    expect(events.slice(-3)).toEqual(['image', 'image', 'done']);
    const previewed = batcher.stream({ sampler: 'dpm-solver-adaptive', previewEvery: 2 });
    expect((await failure(previewed.next())).message).toMatch(/previewEvery of a stream is for samplers whose steps/);
  });

  it('passes errors on', async () => {
    const stream = batcher.stream({ sampler: 'ddim', steps: -1 } as never);
    expect((await failure(stream.next())).code).toBe('ERR_DPM_ARGUMENT');
    const controller = new AbortController();
    const aborted = batcher.stream({ sampler: 'ddpm', steps: 1000, signal: controller.signal });
    await aborted.next();
    controller.abort();
    const rest = (async () => {
      let events = 0;
      for await (const event of aborted) events += event.type.length;
      return events;
    })();
    expect((await failure(rest)).code).toBe('ERR_DPM_ABORTED');
  });
});

describe('admission', () => {
  it('refuses with numbers what would wait too long', async () => {
    await using batch = await model.batcher({ rows: 2, maxWait: 50 });
    const first = batch.sample({ sampler: 'ddpm', steps: 500, tenant: 'a' });
    const wait = batch.expectedWait({ tenant: 'a' });
    expect(wait).toBeGreaterThan(50);
    const refused = await failure(batch.sample({ sampler: 'ddim', steps: 2, tenant: 'a' }));
    expect(refused.code).toBe('ERR_DPM_OVERLOADED');
    expect(refused.message).toMatch(/^the expected wait is \d+ ms, above maxWait of 50 ms$/);
    expect(refused.retryAfterMs).toBeGreaterThan(50);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(Math.ceil(wait));
    // Others and those of a higher priority do not wait for this tenant.
    expect(batch.expectedWait({ priority: 'high' })).toBe(0);
    await batch.sample({ sampler: 'ddim', steps: 2, tenant: 'a', priority: 'high' });
    expect(batch.stats().refused).toEqual({ wait: 1, deadline: 0, bytes: 0 });
    await first;
    expect(batch.expectedWait({ tenant: 'a' })).toBe(0);
  });

  it('lets higher priorities run first, and counts what is done', async () => {
    await using batch = await model.batcher({ rows: 1, order: 'arrival' });
    const order: string[] = [];
    const backlogs: number[] = [];
    const sampled = async (priority: 'high' | 'normal' | 'low', steps: number): Promise<void> => {
      const onProgress = (): void => void backlogs.push(batch.stats().backlog);
      await batch.sample({ sampler: 'ddpm', steps, priority, onProgress });
      order.push(priority);
    };
    await Promise.all([sampled('low', 200), sampled('normal', 100), sampled('high', 50)]);
    expect(order).toEqual(['high', 'normal', 'low']);
    expect(backlogs[0]).toBeGreaterThan(0);
    expect(Math.min(...backlogs)).toBe(0);
  });

  it('refuses what would be late', async () => {
    await using batch = await model.batcher({ rows: 2 });
    const refused = await failure(batch.sample({ sampler: 'ddpm', steps: 1000, deadline: 10 }));
    expect(refused.code).toBe('ERR_DPM_DEADLINE');
    expect(refused.message).toMatch(
      /^the expected wait of 0 ms and \d+ ms of its own work end after the deadline of 10 ms$/,
    );
    expect(refused.retryAfterMs).toBe(1);
    expect(batch.stats()).toMatchObject({ steps: 0, refused: { deadline: 1 } });
  });

  it('refuses more work than a request may ask, and more bytes than it holds', async () => {
    await using batch = await model.batcher({ rows: 2, maxWork: 100, maxWaitingBytes: 3 * 4 * PIXELS });
    const large = await failure(batch.sample({ sampler: 'ddpm', steps: 1000, count: 10 }));
    expect(large.code).toBe('ERR_DPM_ARGUMENT');
    expect(large.message).toMatch(/^the request takes \d+ ms of the whole batch, above maxWork of 100 ms$/);
    const heavy = await failure(batch.sample({ sampler: 'ddim', steps: 2, count: 4, init: noise(4, 1)[0] }));
    expect(heavy.message).toBe('the size of init and noise is 12544, it has to be at most maxWaitingBytes, 9408 bytes');
    const held = batch.sample({ sampler: 'ddim', steps: 9, count: 2, init: noise(2, 1)[0] });
    const more = await failure(batch.sample({ sampler: 'ddpm', steps: 2, count: 1, noise: noise(1, 2) }));
    expect(more.code).toBe('ERR_DPM_OVERLOADED');
    expect(more.message).toMatch(/^requests hold 6272 bytes of init and noise already, 6272 more are above/);
    await held;
    await batch.sample({ sampler: 'ddpm', steps: 2, count: 1, noise: noise(1, 2) });
    expect(batch.stats().refused).toEqual({ wait: 0, deadline: 0, bytes: 1 });
    // States that are kept count as well: one of 9408 bytes, but not three.
    await batch.sample({ sampler: 'ddpm', steps: 3, snapshotEvery: 1 });
    expect((await failure(batch.sample({ sampler: 'ddpm', steps: 4, snapshotEvery: 1 }))).message).toMatch(/12544/);
    await batch.sample({ sampler: 'ddpm', steps: 4, snapshotEvery: 1, format: 'uint8' });
    for (const count of [2e8, 2 ** 33]) {
      const many = await failure(batch.sample({ sampler: 'ddim', steps: 2, count }));
      expect([many.code, many.message]).toEqual([
        'ERR_DPM_ARGUMENT',
        `count is ${count}, it has to be at most 1000000 in one request of a batcher`,
      ]);
    }
  });

  it('refuses adaptive samplers that would wait too long', async () => {
    await using batch = await model.batcher({ rows: 2, maxWait: 1500 });
    const work = Array.from({ length: 6 }, (_, seed) =>
      batch.sample({ sampler: 'dpm-solver-adaptive', seed }).then(
        () => 'done',
        (error: unknown) => (error as DpmError).code,
      ),
    );
    const outcomes = await Promise.all(work);
    expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThanOrEqual(2);
    expect(outcomes.filter((outcome) => outcome === 'ERR_DPM_OVERLOADED').length).toBe(batch.stats().refused.wait);
    expect(batch.stats().refused.wait).toBeGreaterThan(0);
  });
});

describe('a batcher', () => {
  it('measures what it can do', async () => {
    await using batch = await model.batcher();
    const { rows, slots, rowsPerSecond, curve } = batch.capacity;
    expect(rows).toBeGreaterThanOrEqual(1);
    expect(slots).toBe(Math.max(16, 4 * rows));
    const best = Math.max(
      ...curve.filter((point) => point.rows <= rows).map((point) => (1000 * point.rows) / point.ms),
    );
    expect(rowsPerSecond).toBeCloseTo(best, 6);
    expect(curve.map((point) => point.rows)).toEqual([...curve.map((point) => point.rows)].sort((a, b) => a - b));
    await using slow = await model.batcher({ stepTarget: 0.001 });
    expect(slow.capacity.rows).toBe(1);
  });

  it('keeps to a budget of memory', async () => {
    const { rowBytes } = model.unet.native.info;
    const sizes = { image: PIXELS, out: PIXELS, head: 0, rowBytes };
    for (const [rows, slots] of [
      [4, 32],
      [3, 3],
    ] as const) {
      await using own = await DiffusionModel.load(path, { device: 'cpu' });
      const memoryBudget = batchBytes(sizes, rows, slots) + 100;
      await using batch = await own.batcher({ rows: 4, slots: 64, memoryBudget });
      expect(batch.capacity).toMatchObject({ rows, slots });
      // Times and labels of a step are not counted.
      expect(batch.memory).toBeLessThan(memoryBudget + 1e5);
    }
    const small = await failure(model.batcher({ rows: 4, memoryBudget: 1000 }));
    expect(small.code).toBe('ERR_DPM_OUT_OF_MEMORY');
    expect(small.message).toMatch(/^a batch of 1 rows takes \d+ bytes, above memoryBudget of 1000 bytes$/);
  });

  it('refuses options that are none', async () => {
    const wrong: [object, RegExp][] = [
      [{ rows: 0 }, /rows is 0, it has to be an integer from 1 to 65536 or one of auto/],
      [{ rows: 8, slots: 4 }, /slots is 4, it has to be at least rows, 8/],
      [{ order: 'random' }, /order is "random", it has to be one of share, arrival, shortest/],
      [{ sizes: 'some' }, /sizes/],
      [{ stretch: -1 }, /stretch/],
      [{ weight: 0 }, /weight/],
      [{ stepTarget: 0 }, /stepTarget/],
      [{ hostPrograms: 1.5 }, /hostPrograms/],
      [{ maxWait: Number.NaN }, /maxWait/],
      [{ maxWork: -1 }, /maxWork/],
      [{ maxWaitingBytes: '1' }, /maxWaitingBytes/],
      [{ memoryBudget: null }, /memoryBudget/],
      [{ row: 1 }, /no option 'row' \(did you mean 'rows'\?\)/],
    ];
    for (const [options, message] of wrong) await expect(model.batcher(options)).rejects.toThrow(message);
    const requests: [object, RegExp][] = [
      [{ batch: 4 }, /batch/],
      [{ tenant: 5 }, /tenant/],
      [{ weight: 0 }, /weight/],
      [{ priority: 'urgent' }, /priority is "urgent", it has to be one of high, normal, low/],
      [{ deadline: 0 }, /deadline/],
      [{ previewOf: 'noise' }, /previewOf/],
      [{ previewEvery: 2 }, /previewEvery is for onPreview/],
      [{ previewOf: 'prediction' }, /previewOf is for onPreview or the previewEvery of a stream/],
      [{ weight: 1e9 }, /weight/],
    ];
    for (const [options, message] of requests) {
      await expect(batcher.sample({ sampler: 'ddim', steps: 2, ...options } as never)).rejects.toThrow(message);
    }
    await expect(batcher.run(samplers.ddim(model.schedule, { steps: 2 }), { steps: 2 } as never)).rejects.toThrow(
      /steps/,
    );
    await expect(batcher.sample(null as never)).rejects.toThrow(/the argument of sample is null/);
  });

  it('tells of its requests in a diagnostics channel', async () => {
    const channel = tracingChannel('dpm-native:sample');
    const messages: [string, unknown][] = [];
    const note = (name: string) => (message: unknown) => {
      messages.push([name, { ...(message as object) }]);
    };
    const subscribers = {
      start: note('start'),
      end: note('end'),
      asyncStart: note('asyncStart'),
      asyncEnd: note('asyncEnd'),
      error: note('error'),
    };
    channel.subscribe(subscribers);
    try {
      await batcher.sample({ sampler: 'ddim', steps: 3, count: 2, tenant: 'mine' });
      await failure(batcher.run(samplers.ddim(model.schedule, { steps: 2 }), { count: -1 }));
    } finally {
      channel.unsubscribe(subscribers);
    }
    expect(messages.map(([name]) => name)).toEqual([
      'start',
      'end',
      'asyncStart',
      'asyncEnd',
      'start',
      'end',
      'error',
      'asyncStart',
      'asyncEnd',
    ]);
    expect(messages[0]![1]).toEqual({ model: path, sampler: 'ddim', tenant: 'mine' });
    const { records, queued, ran } = messages[3]![1] as SampleTrace;
    expect([records, typeof queued, typeof ran]).toEqual([6, 'number', 'number']);
    expect(messages[4]![1]).toMatchObject({ sampler: null, tenant: '' });
  });

  it('shares a device with others by weight', async () => {
    await using device = Device.open({ device: 'cpu' });
    await using one = await DiffusionModel.load(path, { device });
    await using two = await DiffusionModel.load(path, { device });
    expect([one.device, two.device]).toEqual([device, device]);
    await using light = await one.batcher({ rows: 2, weight: 1 });
    await using heavy = await two.batcher({ rows: 2, weight: 3 });
    const left = new AbortController();
    const load = (batch: Batcher): Promise<unknown>[] =>
      Array.from({ length: 4 }, () =>
        batch.sample({ sampler: 'ddpm', steps: 1000, signal: left.signal }).catch(() => null),
      );
    const work = [...load(light), ...load(heavy)];
    await sleep(300);
    const before = [light.stats().seconds, heavy.stats().seconds];
    await sleep(1500);
    const share =
      (light.stats().seconds - before[0]!) / (light.stats().seconds + heavy.stats().seconds - before[0]! - before[1]!);
    left.abort();
    await Promise.all(work);
    expect(Math.abs(share - 0.25)).toBeLessThan(0.05);
    await one.close();
    await two.sample({ sampler: 'ddim', steps: 2 });
    await expect(DiffusionModel.load(path, { device, threads: 1 })).rejects.toThrow(
      /threads is for a device that the model opens/,
    );
    await expect(DiffusionModel.load(path, { device: 5 } as never)).rejects.toThrow(/device is 5/);
  });
});
