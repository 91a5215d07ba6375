// Requests that a batcher takes and refuses, and its reports about itself.
import { tracingChannel } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { Device, DiffusionModel, samplers, type Batcher, type DpmError, type SampleTrace } from '../../../lib/index.js';
import { batchBytes, Batches } from '../../../lib/batch/batches.js';
import { ServiceClock } from '../../../lib/batch/clock.js';
import { failure } from '../../support/failure.js';
import { batcher, model, noise, path, PIXELS, serveDigits } from './digits.js';

serveDigits();

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
    // Nothing is wrong with the caller, whose place would take longer to find out than the refusal.
    expect(refused.stack).not.toContain(' at ');
    expect(new Error('next').stack).toContain(' at ');
    expect(() => batch.requireRoom({ tenant: 'a' })).toThrow(/above maxWait of 50 ms$/);
    expect(batch.stats().refused.wait).toBe(2);
    expect(batch.requireRoom({ tenant: 'a', priority: 'high' })).toBe(0);
    // Others and those of a higher priority do not wait for this tenant.
    expect(batch.expectedWait({ priority: 'high' })).toBe(0);
    await batch.sample({ sampler: 'ddim', steps: 2, tenant: 'a', priority: 'high' });
    expect(batch.stats().refused).toEqual({ wait: 2, deadline: 0, bytes: 0 });
    await first;
    expect(batch.expectedWait({ tenant: 'a' })).toBe(0);
  });

  it('takes what comes where nothing is to be done, also where nobody may wait', async () => {
    await using batch = await model.batcher({ rows: 1, maxWait: 0 });
    const request = { sampler: 'ddim', steps: 20 } as const;
    const running = batch.sample(request);
    expect((await failure(batch.sample(request))).message).toMatch(/above maxWait of 0 ms$/);
    await running;
    // More samples than a step has rows wait for one another, and not for their request.
    await batch.sample({ ...request, count: 3 });
    expect(batch.stats().refused.wait).toBe(1);
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

  it('makes no program for what would be late by its steps alone', async () => {
    await using batch = await model.batcher({ rows: 2 });
    // Wrong for its sampler, which only making its program tells.
    const late = await failure(batch.sample({ sampler: 'heun', steps: 1000, rho: -1, deadline: 10 }));
    expect(late.code).toBe('ERR_DPM_DEADLINE');
    const wrong = await failure(batch.sample({ sampler: 'heun', steps: 1000, rho: -1 }));
    expect(wrong.code).toBe('ERR_DPM_ARGUMENT');
    expect(batch.stats().refused).toEqual({ wait: 0, deadline: 1, bytes: 0 });
  });

  it('refuses more work than a request may ask, and more bytes than it holds', async () => {
    // Less than any machine takes for it.
    await using limited = await model.batcher({ rows: 2, maxWork: 1 });
    const large = await failure(limited.sample({ sampler: 'ddpm', steps: 1000, count: 10 }));
    expect(large.code).toBe('ERR_DPM_ARGUMENT');
    expect(large.message).toMatch(/^the request takes \d+ ms of the whole batch, above maxWork of 1 ms$/);
    await using batch = await model.batcher({ rows: 2, maxWaitingBytes: 3 * 4 * PIXELS });
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
    await batch.sample({ sampler: 'ddpm', steps: 2, count: 3, snapshotEvery: 2 });
    const three = { sampler: 'ddpm', steps: 2, count: 4, snapshotEvery: 2 } as const;
    expect((await failure(batch.sample(three))).message).toMatch(/12544/);
    // What is told belongs to its reader.
    batch.stats().refused.bytes = 7;
    expect(batch.stats().refused.bytes).toBe(1);
    for (const count of [2e8, 2 ** 33]) {
      const many = await failure(batch.sample({ sampler: 'ddim', steps: 2, count }));
      expect([many.code, many.message]).toEqual([
        'ERR_DPM_ARGUMENT',
        `count is ${count}, it has to be at most 1000000 in one request of a batcher`,
      ]);
    }
  });

  it('charges a tenant for what runs beside the batch', async () => {
    await using batch = await model.batcher({ rows: 1 });
    const ended = new AbortController();
    const running = failure(
      batch.sample({ sampler: 'ddpm', steps: 1000, count: 4, tenant: 'b', signal: ended.signal }),
    );
    while (batch.stats().backlog === 0) await sleep(1);
    const charge = vi.spyOn(ServiceClock.prototype, 'charge');
    onTestFinished(() => {
      charge.mockRestore();
    });
    await batch.sample({ sampler: 'dpm-solver-adaptive', tenant: 'a', weight: 0.5 });
    // For making its program, and for its run.
    const charged = ['a', 0.5, expect.any(Number)];
    expect(charge.mock.calls).toEqual([charged, charged]);
    expect(batch.expectedWait({ tenant: 'a' })).toBeGreaterThan(batch.expectedWait({ tenant: 'c' }));
    ended.abort();
    await running;
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

  it('counts on no more rows than it takes', async () => {
    const measured = vi.spyOn(model.unet.native, 'measure');
    measured.mockImplementation(([rows = 0]) => Promise.resolve(Float64Array.of(10 + rows)));
    await using batch = await model.batcher({ stepTarget: 12.5 });
    measured.mockRestore();
    const { rows, rowsPerSecond, curve } = batch.capacity;
    expect(curve.at(-1)!.rows).toBeGreaterThan(rows);
    expect(rowsPerSecond).toBeCloseTo((1000 * rows) / (10 + rows), 6);
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
    const of = Reflect.get(Batches.prototype, 'of');
    const timed = vi.spyOn(Batches.prototype, 'of').mockImplementation(async function (this: Batches, network) {
      const batch = await of.call(this, network);
      const submit: typeof batch.submit = async (request) => ({ ...(await batch.submit(request)), queued: 3, ran: 5 });
      return { submit } as typeof batch;
    });
    channel.subscribe(subscribers);
    try {
      await batcher.sample({ sampler: 'ddim', steps: 3, count: 2, tenant: 'mine' });
      await failure(batcher.run(samplers.ddim(model.schedule, { steps: 2 }), { classLabels: 3 }));
    } finally {
      channel.unsubscribe(subscribers);
      timed.mockRestore();
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
    expect([records, queued, ran]).toEqual([6, 3, 5]);
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
    const seconds = (): number[] => [light, heavy].map((batch) => batch.stats().seconds);
    while (Math.min(...seconds()) === 0) await sleep(5);
    const before = seconds();
    const since = (): number[] => seconds().map((now, i) => now - before[i]!);
    while (since()[0]! + since()[1]! < 1) await sleep(5);
    const [ofLight, ofHeavy] = since() as [number, number];
    left.abort();
    await Promise.all(work);
    expect(Math.abs(ofLight / (ofLight + ofHeavy) - 0.25)).toBeLessThan(0.05);
    await one.close();
    await two.sample({ sampler: 'ddim', steps: 2 });
    await expect(DiffusionModel.load(path, { device, threads: 1 })).rejects.toThrow(
      /threads is for a device that the model opens/,
    );
    await expect(DiffusionModel.load(path, { device: 5 } as never)).rejects.toThrow(/device is 5/);
  });
});
