// Tests of a worker whose queues change while it works.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Worker } from 'bullmq';
import { DpmError } from 'dpm-native';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { queueOf, type Job } from '../../../src/jobs/job.js';
import type { BullmqStore } from '../../../src/jobs/queue/bullmq-store.js';
import type { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import type { Workplace } from '../../../src/jobs/queue/takers.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

describe.skipIf(!hasRedis)('a worker whose models change', () => {
  let redis: RedisServer;
  let folder: string;
  let store: BullmqStore;
  let worker: JobWorker | undefined;
  /** The chunks that are being drawn, each with what ends it. */
  let begun: { job: Job; chunk: number; signal: AbortSignal; end: () => void }[];
  let error: Error | undefined;
  const draw: DrawChunk = (job, chunk, signal) => {
    if (error !== undefined) return Promise.reject(error);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        resolve(Buffer.from('x'));
      };
      begun.push({ job, chunk, signal, end });
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'));
      });
    });
  };
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(async () => {
    await redis.stop();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'results-'));
    store = await openQueue(redis.url, folder);
    begun = [];
    error = undefined;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await worker?.close();
    worker = undefined;
    await store.close();
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    await rm(folder, { recursive: true });
  });

  const place = (engine: string, concurrency = 2): Workplace => ({
    queue: queueOf({ ...jobOf(), engine }),
    concurrency,
  });
  const added = async (engine: string): Promise<Job> => store.add(jobOf({ engine }));
  const work = async (...engines: string[]): Promise<JobWorker> => {
    worker = await openWorker(redis.url, folder, draw, engines);
    return worker;
  };
  const stateOf = async ({ id }: Job): Promise<string> => (await store.get(id))!.state;
  const areBegun = (count: number): Promise<void> => until(() => begun.length === count);
  const endAll = async (job: Job): Promise<void> => {
    await until(async () => {
      for (const each of begun) each.end();
      return (await stateOf(job)) === 'done';
    });
  };

  it('takes the chunks of a model that has come', async () => {
    const job = await added('new');
    const own = await work('old');
    expect(begun).toEqual([]);
    await own.place([place('old'), place('new')]);
    await areBegun(2);
    await endAll(job);
    await endAll(await added('old'));
  });

  it('draws the last chunks of a model that has gone, and takes no more of them', async () => {
    const own = await work('cpu-test');
    const job = await added('cpu-test');
    await areBegun(2);
    const closed = vi.spyOn(Worker.prototype, 'close');
    await own.place([place('other')]);
    await endAll(await added('other'));
    const last = begun.filter((each) => each.job.id === job.id);
    expect(last).toHaveLength(2);
    expect(last.map(({ signal }) => signal.aborted)).toEqual([false, false]);
    // Two of its three chunks are done, and nobody takes the third.
    await until(async () => (await store.get(job.id))!.doneChunks === 2);
    await until(() => closed.mock.contexts.some((each) => (each as Worker).name === place('cpu-test').queue));
    expect(await stateOf(job)).toBe('running');
    await own.place([place('other'), place('cpu-test')]);
    await endAll(job);
  });

  it('takes as many chunks at once as the model draws now', async () => {
    const own = await work('cpu-test');
    await own.place([place('cpu-test', 3)]);
    const job = await added('cpu-test');
    await areBegun(3);
    await endAll(job);
  });

  it('takes chunks again that it has given back, once its models have changed', async () => {
    error = new DpmError('ERR_DPM_CLOSED', 'the model of the job is not loaded');
    const own = await work('cpu-test');
    const paused = vi.spyOn(Worker.prototype, 'pause');
    const job = await added('cpu-test');
    await until(() => paused.mock.calls.length > 0);
    error = undefined;
    expect(await stateOf(job)).not.toBe('failed');
    await own.place([place('cpu-test')]);
    await endAll(job);
  });

  it('takes nothing new once it drains', async () => {
    const own = await work('cpu-test');
    await own.drain();
    await own.place([place('cpu-test'), place('other')]);
    await added('other');
    await sleep(200);
    const client = new Redis(redis.url);
    expect(await client.zcard(`bull:${place('other').queue}:prioritized`)).toBe(3);
    client.disconnect();
  });

  it('gives back the last chunks of a model that has gone when it is closed', async () => {
    const own = await work('cpu-test');
    const job = await added('cpu-test');
    await areBegun(2);
    await own.place([]);
    await own.close();
    expect(begun.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    const client = new Redis(redis.url);
    expect(await client.llen(`bull:${place('cpu-test').queue}:active`)).toBe(0);
    client.disconnect();
    worker = undefined;
    begun = [];
    await work('cpu-test');
    await endAll(job);
  });
});
