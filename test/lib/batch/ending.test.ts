// Ends of a batch's requests, and the events of a stream until then.
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { Device, DiffusionModel, type BatchEvent } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { batcher, model, noise, path, serveDigits } from './digits.js';

serveDigits();

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
    // Ten times what it takes itself, however fast the machine is now.
    const deadline = Math.ceil(20 * batch.capacity.curve.at(-1)!.ms);
    // The engine is busy for longer than that.
    const busy = own.unet.forward(noise(512, 1)[0]!, 7);
    const error = await failure(batch.sample({ sampler: 'ddim', steps: 2, deadline }));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_DEADLINE',
      `the request was not done within its deadline of ${deadline} ms`,
    ]);
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(1);
    await busy;
    // Nothing waits before what runs beside the batch; "now" would be of no use to a caller.
    const beside = await failure(batch.sample({ sampler: 'dpm-solver-adaptive', deadline: 1 }));
    expect([beside.code, beside.retryAfterMs]).toEqual(['ERR_DPM_DEADLINE', 1]);
    await batch.sample({ sampler: 'ddim', steps: 2, deadline: 300_000 });
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
    const events: string[] = [];
    for await (const { type } of batcher.stream({ ...request, previewEvery: 3, count: 4 })) events.push(type);
    expect(events.filter((type) => type === 'preview')).toHaveLength(4 * 20);
  });

  it('is left while its reader waits for an event', async () => {
    await using own = await DiffusionModel.load(path, { device: 'cpu' });
    await using batch = await own.batcher({ rows: 1 });
    const first = failure(batch.sample({ sampler: 'ddpm', steps: 1000, priority: 'high' }));
    const stream = batch.stream({ sampler: 'ddim', steps: 5 });
    await stream.next();
    // The second one waits until the first one is done.
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
