// Tests of the store that a server opens for its jobs, and of what it counts there.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';

import { openJobs, openWorker, type JobsContext } from '../../src/jobs/places/open.js';
import { JobWorker } from '../../src/jobs/queue/bullmq-worker.js';
import { BullmqStore } from '../../src/jobs/queue/bullmq-store.js';
import { SpoolStore } from '../../src/jobs/spool/spool-store.js';
import type { JobFigures } from '../../src/observe/metrics.js';
import { jobOf } from './job-of.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'open-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A server without a model that can draw, which has the capacity of one. */
function context(settings: Partial<JobsContext['settings']>) {
  let figures: (() => Promise<JobFigures>) | undefined;
  let loaded: (() => void) | undefined;
  // Twice as slow now as it was.
  const batcher = { capacity: { rowsPerSecond: 20 }, stats: () => ({ slowdown: 2 }) };
  const made = {
    settings: { keep: 5000, keepBytes: 6000, ...settings },
    registry: {
      models: [{ digest: 'ab'.repeat(32), batcher }],
      onChange: (call: () => void) => (loaded = call),
    },
    metrics: { readJobs: (read: () => Promise<JobFigures>) => (figures = read), chunks: { inc: () => undefined } },
    log: { warn: () => undefined, error: () => undefined },
  };
  return {
    made: made as unknown as JobsContext,
    figures: () => figures!(),
    load: () => {
      loaded!();
    },
  };
}

it('is none without a place, and a worker needs a queue', async () => {
  expect(await openJobs(context({}).made)).toBeUndefined();
  expect(await openJobs(context({ queue: 'redis://nowhere' }).made)).toBeUndefined();
  await expect(openWorker(context({ spool: folder }).made)).rejects.toThrow(/a worker takes a queue/);
});

it('is a queue that removes what is not kept', async () => {
  const open = vi.spyOn(BullmqStore, 'open').mockRejectedValue(new Error('none'));
  onTestFinished(() => {
    open.mockRestore();
  });
  const { made } = context({ queue: 'redis://nowhere', results: 'file:///r' });
  await expect(openJobs(made)).rejects.toThrow('none');
  const secondsLeft = expect.any(Function) as unknown;
  const wanted = { keep: 5000, keepBytes: 6000, cleans: true, secondsLeft };
  expect(open).toHaveBeenCalledWith(expect.objectContaining(wanted));
});

it('is a spool that keeps jobs as long as is said, and wakes when a model comes', async () => {
  const open = vi.spyOn(SpoolStore, 'open');
  const wake = vi.spyOn(SpoolStore.prototype, 'wake').mockImplementation(() => undefined);
  onTestFinished(() => {
    for (const spy of [open, wake]) spy.mockRestore();
  });
  const { made, load } = context({ spool: folder });
  const store = await openJobs(made);
  expect(open).toHaveBeenCalledWith(folder, expect.objectContaining({ keep: 5000, keepBytes: 6000 }));
  const counted = vi.spyOn(made.metrics.chunks, 'inc');
  open.mock.calls[0]![1].onFailure?.('job', 0, new Error('no'));
  expect(counted.mock.calls).toEqual([[{ outcome: 'failed' }]]);
  wake.mockClear();
  load();
  expect(wake).toHaveBeenCalledOnce();
  await store!.close();
});

it('draws as many chunks of a queue at once as all models of the same files have room for', async () => {
  const open = vi.spyOn(JobWorker, 'open').mockResolvedValue(Object.create(JobWorker.prototype) as JobWorker);
  onTestFinished(() => {
    open.mockRestore();
  });
  const place = vi.spyOn(JobWorker.prototype, 'place').mockResolvedValue();
  const { made, load } = context({ queue: 'redis://nowhere', results: 'file:///nowhere' });
  const model = { device: { name: 'cpu', description: 'avx2' } };
  const served = (rows: number, digest: string) => ({
    config: {},
    digest: digest.repeat(32),
    model,
    batcher: { capacity: { rows } },
  });
  Object.assign(made.registry, { models: [served(64, 'ab'), served(96, 'ab'), served(32, 'cd')] });
  await openWorker(made);
  const room = Object.fromEntries(open.mock.calls[0]![0].places.map(({ queue, concurrency }) => [queue, concurrency]));
  // Twice the rows of each, in chunks of 64.
  expect(room).toMatchObject({ 'dpm-abababababab-any': 5, 'dpm-cdcdcdcdcdcd-any': 1 });
  expect(Object.values(room).sort()).toEqual([1, 1, 5, 5]);
  Object.assign(made.registry, { models: [served(32, 'cd')] });
  load();
  expect(place.mock.calls[0]![0].map(({ concurrency }) => concurrency)).toEqual([1, 1]);
  place.mockRestore();
});

it('counts jobs by their state, and the seconds that each queue needs', async () => {
  const wake = vi.spyOn(SpoolStore.prototype, 'wake').mockImplementation(() => undefined);
  onTestFinished(() => {
    wake.mockRestore();
  });
  const { made, figures } = context({ spool: folder });
  const store = await openJobs(made);
  const cancelled = jobOf();
  const jobs = [jobOf(), jobOf({ rows: 50 }), jobOf({ engine: 'any' }), jobOf({ digest: 'cd'.repeat(32) }), cancelled];
  for (const job of jobs) await store!.add(job);
  await store!.cancel(cancelled.id);
  const found = await figures();
  expect(Object.fromEntries(found.jobs)).toEqual({ queued: 4, running: 0, done: 0, failed: 0, cancelled: 1 });
  expect([...found.backlogSeconds]).toEqual(
    expect.arrayContaining([
      ['dpm-abababababab-cpu-test', 15],
      ['dpm-abababababab-any', 10],
    ]),
  );
  expect(found.backlogSeconds.size).toBe(2);
  // Also those of a queue that no model here draws for.
  expect([...found.rowsLeft.values()].sort((a, b) => a - b)).toEqual([100, 100, 150]);
  await store!.close();
});
