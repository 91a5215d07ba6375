// Tests of how long a queue keeps jobs and their samples, in a folder and in S3.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { unlimited } from '../../../src/base/client.js';
import { bytesOf } from '../../../src/jobs/admission.js';
import { chunkKey, type Job } from '../../../src/jobs/job.js';
import type { BullmqStore, QueueOptions } from '../../../src/jobs/queue/bullmq-store.js';
import { Removing } from '../../../src/jobs/queue/removing.js';
import { openResults } from '../../../src/jobs/results/open-results.js';
import type { Results } from '../../../src/jobs/results/results.js';
import { FileResults } from '../../../src/jobs/results/results-file.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { Bucket } from '../results/bucket.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

const hour = 3_600_000;

describe.skipIf(!hasRedis).each(['a folder', 'S3'])('a queue with results in %s', (place) => {
  let redis: RedisServer;
  let client: Redis;
  let folder: string;
  let url: string;
  let results: Results;
  const bucket = new Bucket();
  const open: { close(): Promise<void> }[] = [];
  beforeAll(async () => {
    process.env.AWS_ACCESS_KEY_ID = 'a';
    process.env.AWS_SECRET_ACCESS_KEY = 'b';
    redis = await RedisServer.start();
    client = new Redis(redis.url);
    folder = await mkdtemp(join(tmpdir(), 'results-'));
    const endpoint = await bucket.start();
    url = place === 'S3' ? `s3://samples/a?endpoint=${endpoint}&region=x` : pathToFileURL(folder).href;
    results = await openResults(url);
  });
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    await Promise.all(open.splice(0).map((each) => each.close()));
    await client.flushall();
  });
  afterAll(async () => {
    results.close();
    client.disconnect();
    await bucket.stop();
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  const opened = async (options: Partial<QueueOptions> = {}): Promise<BullmqStore> => {
    const store = await openQueue(redis.url, url, { keep: hour, cleans: true, ...options });
    open.push(store);
    return store;
  };
  const work = async (): Promise<void> => {
    open.push(await openWorker(redis.url, url, (job, chunk) => Promise.resolve(Buffer.from(`${job.id} ${chunk}`))));
  };
  const seeded = (seed: string, count = 10): Job => jobOf({ body: { model: 'm', count, chunk: 4, seed } });
  const done = async (store: BullmqStore, job: Job): Promise<Job> => {
    await store.add(job);
    await until(async () => (await store.get(job.id))!.state === 'done');
    return job;
  };
  const there = (job: Job, chunks = [0, 1, 2]): Promise<boolean[]> =>
    Promise.all(chunks.map((chunk) => results.has(chunkKey(job, chunk))));
  const later = (milliseconds: number): void => {
    vi.setSystemTime(Date.now() + milliseconds);
  };

  it('removes the samples of two jobs that have the same ones, where both have to go for a new one', async () => {
    const store = await opened();
    await work();
    const equals = [await done(store, seeded('1')), await done(store, seeded('1'))];
    later(1000);
    const other = await done(store, seeded('2', 2));
    const wide = seeded('3', 20);
    await store.add(wide, { ...unlimited, resultBytes: bytesOf(wide) + bytesOf(other) });
    for (const job of equals) expect(await store.get(job.id)).toBeUndefined();
    expect(await there(equals[0]!)).toEqual([false, false, false]);
    expect(await there(other, [0])).toEqual([true]);
  });

  it('removes what is too old, and its samples', async () => {
    const store = await opened();
    await work();
    const old = await done(store, seeded('1'));
    const waiting = jobOf({ engine: 'other' });
    await store.add(waiting);
    later(hour / 2);
    const young = await done(store, seeded('2'));
    await store.clean();
    expect(await there(old)).toEqual([true, true, true]);
    later(hour / 2 + 60_000);
    // BullMQ forgets old jobs whenever another one is done: their samples would stay then.
    await done(store, seeded('3'));
    await store.clean();
    expect(await store.get(old.id)).toBeUndefined();
    expect(await there(old)).toEqual([false, false, false]);
    expect(await there(young)).toEqual([true, true, true]);
    expect((await store.get(young.id))!.state).toBe('done');
    expect((await store.get(waiting.id))!.state).toBe('queued');
  });

  it('removes the oldest beyond its bytes', async () => {
    const store = await opened({ keepBytes: 2 * bytesOf(jobOf()) });
    await work();
    const jobs: Job[] = [];
    for (const seed of ['1', '2']) {
      jobs.push(await done(store, seeded(seed)));
      later(1000);
    }
    await store.clean();
    expect(await there(jobs[0]!)).toEqual([true, true, true]);
    await store.close();
    // It looks when it is opened.
    await opened({ keepBytes: 2 * bytesOf(jobOf()) - 1 });
    await until(async () => !(await there(jobs[0]!)).includes(true));
    expect(await there(jobs[1]!)).toEqual([true, true, true]);
  });

  it('keeps samples that another job has', async () => {
    const store = await opened();
    await work();
    const old = await done(store, seeded('1'));
    later(hour);
    // The third chunk of the first is shorter.
    const young = await done(store, seeded('1', 14));
    later(60_000);
    await store.clean();
    expect(await store.get(old.id)).toBeUndefined();
    expect(await there(old)).toEqual([true, true, false]);
    expect(await there(young, [0, 1, 2, 3])).toEqual([true, true, true, true]);
    later(hour);
    await store.clean();
    expect(await there(young, [0, 1, 2, 3])).toEqual([false, false, false, false]);
  });

  it('is cleaned by several servers at once', async () => {
    const stores = [await opened(), await opened()];
    await work();
    const jobs = [];
    for (const seed of ['1', '2', '3']) jobs.push(await done(stores[0]!, seeded(seed)));
    later(2 * hour);
    await Promise.all(stores.map((store) => store.clean()));
    for (const job of jobs) expect(await there(job)).toEqual([false, false, false]);
    expect((await stores[0]!.list({ limit: 9 })).data).toEqual([]);
    expect(await client.hgetall('dpm-jobs:held-sums')).toEqual({});
  });

  it('tries again what could not be removed, and tells of it once', async () => {
    const troubles: unknown[] = [];
    const store = await opened({ onTrouble: (error) => troubles.push(error) });
    await work();
    const job = await done(store, seeded('1'));
    later(2 * hour);
    if (place === 'S3') bucket.isBroken = true;
    else vi.spyOn(FileResults.prototype, 'remove').mockRejectedValue(new Error('read-only'));
    await store.clean();
    await store.clean();
    expect(troubles).toHaveLength(1);
    expect((await store.get(job.id))!.state).toBe('done');
    bucket.isBroken = false;
    vi.restoreAllMocks();
    await store.clean();
    expect(await store.get(job.id)).toBeUndefined();
    expect(await there(job)).toEqual([false, false, false]);
  });

  it('gives the samples of what goes for a new job, or is forgotten', async () => {
    const store = await opened();
    await work();
    const first = await done(store, seeded('1'));
    const quota = { ...unlimited, resultBytes: bytesOf(jobOf()) };
    const second = seeded('2');
    await store.add(second, quota);
    expect(await there(first)).toEqual([false, false, false]);
    await until(async () => (await store.get(second.id))!.state === 'done');
    expect(await store.purge()).toBe(1);
    expect(await there(second)).toEqual([false, false, false]);
  });

  it('knows of jobs that earlier versions have left', async () => {
    const store = await opened();
    await work();
    const old = await done(store, seeded('1'));
    const waiting = jobOf({ engine: 'other' });
    await store.add(waiting);
    await client.del('dpm-jobs:held', 'dpm-jobs:held-sums');
    await store.clean();
    const bytes = String(bytesOf(old) + bytesOf(waiting));
    expect(await client.hgetall('dpm-jobs:held-sums')).toMatchObject({ jobs: '2', 'jobs ': '1', bytes });
    later(2 * hour);
    await store.clean();
    expect(await there(old)).toEqual([false, false, false]);
    expect(await store.get(waiting.id)).toBeDefined();
  });

  it('forgets a job, and leaves its samples to one that is not over', async () => {
    const store = await opened();
    await work();
    const over = await done(store, seeded('1'));
    await open.pop()!.close();
    await store.add(seeded('1'));
    expect(await store.purge()).toBe(1);
    expect(await store.get(over.id)).toBeUndefined();
    expect(await there(over)).toEqual([true, true, true]);
  });

  it('makes room for what is tried again among the others', async () => {
    const store = await opened();
    await work();
    const again = await done(store, seeded('1'));
    later(1000);
    const other = await done(store, seeded('2'));
    await results.remove([chunkKey(again, 0)]);
    await store.retry(again.id, { ...unlimited, resultBytes: bytesOf(again) });
    expect(await store.get(other.id)).toBeUndefined();
    await until(async () => (await there(again)).every(Boolean));
  });

  it('has ended a look before it is closed', async () => {
    let end = (): void => undefined;
    vi.spyOn(Removing.prototype, 'list').mockImplementationOnce(
      () =>
        new Promise((found) => {
          end = () => {
            found([]);
          };
        }),
    );
    const store = await opened();
    let isClosed = false;
    const closed = store.close().then(() => (isClosed = true));
    await sleep(300);
    expect(isClosed).toBe(false);
    end();
    await closed;
  });

  it('is left as it is by who only looks', async () => {
    const store = await opened({ cleans: false });
    await work();
    const job = await done(store, seeded('1'));
    later(2 * hour);
    await store.clean();
    expect(await there(job)).toEqual([true, true, true]);
  });
});
