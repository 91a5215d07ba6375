// Tests of the room of a queue, which several servers share.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { unlimited } from '../../../src/base/client.js';
import { bytesOf, holdingOf } from '../../../src/jobs/admission.js';
import type { Job } from '../../../src/jobs/job.js';
import type { BullmqStore, QueueOptions } from '../../../src/jobs/queue/bullmq-store.js';
import { Holdings } from '../../../src/jobs/queue/holdings.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

describe.skipIf(!hasRedis)('the room of a queue', () => {
  let redis: RedisServer;
  let client: Redis;
  let folder: string;
  const open: { close(): Promise<void> }[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
    client = new Redis(redis.url);
    folder = await mkdtemp(join(tmpdir(), 'results-'));
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
    await client.flushall();
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  const opened = async (options: Partial<QueueOptions> = {}): Promise<BullmqStore> => {
    const store = await openQueue(redis.url, folder, options);
    open.push(store);
    return store;
  };
  const work = async (): Promise<void> => {
    open.push(await openWorker(redis.url, folder, () => Promise.resolve(Buffer.from('x'))));
  };
  const isDone = (store: BullmqStore, job: Job): Promise<void> =>
    until(async () => (await store.get(job.id))!.state === 'done');
  const sums = (): Promise<Record<string, string>> => client.hgetall('dpm-jobs:held-sums');

  it('is taken by servers together, and no more than there is', async () => {
    const [one, other] = [await opened({ mostJobs: 4 }), await opened({ mostJobs: 4 })];
    const jobs = Array.from({ length: 12 }, (_, i) => jobOf({ tenant: `t${i % 3}` }));
    const taken = await Promise.allSettled(jobs.map((job, i) => (i % 2 === 0 ? one : other).add(job)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    for (const each of taken) {
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'ERR_DPM_OVERLOADED' });
    }
    expect(await sums()).toMatchObject({ jobs: '4', bytes: String(4 * bytesOf(jobOf())) });
  });

  it('is made by the oldest job that is over', async () => {
    const store = await opened({ mostJobs: 3 });
    await work();
    const waiting = jobOf({ engine: 'other' });
    await store.add(waiting);
    const jobs = [jobOf(), jobOf(), jobOf()];
    for (const job of jobs) {
      await store.add(job);
      await isDone(store, job);
    }
    expect(await store.get(jobs[0]!.id)).toBeUndefined();
    expect((await store.list({ limit: 9 })).data).toHaveLength(3);
    for (const job of [jobOf({ engine: 'other' }), jobOf({ engine: 'other' })]) await store.add(job);
    await expect(store.add(jobOf())).rejects.toMatchObject({ code: 'ERR_DPM_OVERLOADED' });
    expect(await store.get(waiting.id)).toBeDefined();
  });

  it('is limited in bytes', async () => {
    const store = await opened({ keepBytes: bytesOf(jobOf()) });
    await store.add(jobOf());
    await expect(store.add(jobOf())).rejects.toMatchObject({ code: 'ERR_DPM_STORAGE', status: 507 });
  });

  it('is given back whole', async () => {
    const store = await opened();
    await work();
    const [done, cancelled] = [jobOf({ tenant: 'a' }), jobOf({ tenant: 'b', engine: 'other' })];
    for (const job of [done, cancelled]) await store.add(job);
    await isDone(store, done);
    await store.cancel(cancelled.id);
    const bytes = String(bytesOf(done));
    expect(await sums()).toEqual({ jobs: '2', bytes, 'bytes a': bytes });
    expect(await store.purge()).toBe(2);
    expect(await sums()).toEqual({});
    expect(await new Holdings(client).all()).toEqual([]);
  });

  it('is found again where a server or a worker has died before it gave it back', async () => {
    const quota = { ...unlimited, unfinishedJobs: 2 };
    const store = await opened({ secondsLeft: ({ job }) => Number(job.body.seed) });
    await work();
    const holdings = new Holdings(client);
    const enter = (job: Job, age: number): Promise<boolean> =>
      holdings.enter(holdingOf({ job, state: 'queued', doneChunks: 0 }, Date.now() - age), unlimited, {
        jobs: 100,
        bytes: Infinity,
      });
    const done = jobOf();
    await store.add(done, quota);
    await isDone(store, done);
    // Its worker died, and another server before it could add its job.
    await holdings.forget(done.id);
    await enter(done, 0);
    await enter(jobOf(), 120_000);
    expect(await sums()).toMatchObject({ 'jobs ': '2' });
    const next = jobOf({ engine: 'other' });
    await store.add(next, quota);
    expect(await sums()).toMatchObject({ 'jobs ': '1', jobs: '2' });
    // What is just being added counts.
    await enter(jobOf(), 0);
    await expect(store.add(jobOf(), quota)).rejects.toMatchObject({
      code: 'ERR_DPM_QUOTA',
      headers: { 'retry-after': '7' },
    });
  });

  it('is not that of entries which others have written', async () => {
    await client.hset('dpm-jobs:held', 'x', '{"tenant":1}');
    expect(await new Holdings(client).all()).toEqual([]);
  });
});
