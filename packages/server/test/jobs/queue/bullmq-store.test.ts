// Tests of jobs in Redis, and of the workers that draw them.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { flowOf } from '../../../src/jobs/queue/bullmq-flow.js';
import { BullmqStore } from '../../../src/jobs/queue/bullmq-store.js';
import { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import { chunkKey, queueOf } from '../../../src/jobs/job.js';
import type { DrawChunk, JobStore } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { hasRedis, RedisServer } from './redis-server.js';
import { describeStore } from '../store-suite.js';

const ignored = (): undefined => undefined;

it('keeps jobs for seconds, in which BullMQ counts', () => {
  const flow = flowOf({ job: jobOf(), round: 0, before: 0, isCancelled: false }, [0], { keep: 90_000 });
  expect(flow.opts).toMatchObject({ removeOnComplete: { age: 90 }, removeOnFail: { age: 90 } });
});

let redis: RedisServer;
let folder: string;
const results = (): string => pathToFileURL(folder).href;

const openStore = (url = redis.url): Promise<BullmqStore> =>
  BullmqStore.open({ queue: url, results: results(), keep: 60_000, backoff: 20, onError: ignored });

const openWorker = (draw: DrawChunk, lock = 10_000): Promise<JobWorker> =>
  JobWorker.open({
    queue: redis.url,
    results: results(),
    places: [{ queue: queueOf({ ...jobOf(), engine: 'cpu-test' }), concurrency: 2 }],
    draw,
    lock,
    onError: ignored,
    onFailure: ignored,
    onTrouble: ignored,
  });

class QueueHarness {
  readonly store: JobStore;
  #worker: JobWorker | undefined;

  private constructor(store: JobStore) {
    this.store = store;
  }

  static async open(): Promise<QueueHarness> {
    return new QueueHarness(await openStore());
  }

  async start(draw: DrawChunk): Promise<void> {
    this.#worker = await openWorker(draw);
  }

  async stop(): Promise<void> {
    await this.#worker?.close();
    this.#worker = undefined;
  }

  async remove(): Promise<void> {
    await this.store.close();
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    await rm(folder, { recursive: true });
  }
}

describe.skipIf(!hasRedis)('with Redis', () => {
  beforeAll(async () => {
    redis = await RedisServer.start();
    folder = await mkdtemp(join(tmpdir(), 'results-'));
  });
  afterAll(async () => {
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });

  describeStore('a queue', () => QueueHarness.open());

  const bytes: DrawChunk = (job, chunk) => Promise.resolve(Buffer.from(`${job.id} ${chunk}`));

  it('draws samples that are there no second time', async () => {
    const store = await openStore();
    const job = jobOf();
    let drawn = 0;
    const worker = await openWorker((...given) => {
      ++drawn;
      return bytes(...given);
    });
    await store.add(job);
    await until(async () => (await store.get(job.id))!.state === 'done');
    const same = jobOf({ body: { ...job.body, count: 14 } });
    await store.add(same);
    await until(async () => (await store.get(same.id))!.state === 'done');
    // Chunks 0 and 1 are the same samples; the third was shorter.
    expect(drawn).toBe(5);
    expect(await store.chunk(same, 1)).toEqual(await store.chunk(job, 1));
    expect(chunkKey(same, 1)).toBe(chunkKey(job, 1));
    await worker.close();
    await store.close();
  });

  it('is refused where Redis forgets', async () => {
    const forgetful = await RedisServer.start('--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru');
    await expect(openStore(forgetful.url)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/maxmemory-policy allkeys-lru.* has to be noeviction/) as string,
    });
    await forgetful.stop();
    await expect(openStore(forgetful.url)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/^queue redis:\/\/127.0.0.1:\d+ cannot be reached: .*ECONNREFUSED/) as string,
    });
    const secret = forgetful.url.replace('//', '//user:secret@');
    await expect(openStore(secret)).rejects.not.toThrow(/secret/);
  });

  it('is refused where Redis has no such database', async () => {
    await expect(openStore(`${redis.url}/99`)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/^queue redis:\/\/127.0.0.1:\d+ cannot be .*DB index is out of range/) as string,
    });
    await (await openStore(`${redis.url}/3`)).close();
  });

  it('says so while Redis is gone, and has all jobs when it is back', async () => {
    const own = await RedisServer.start();
    const store = await openStore(own.url);
    const job = jobOf();
    await store.add(job);
    await own.kill();
    const gone = { code: 'ERR_DPM_QUEUE', status: 503, headers: { 'retry-after': '5' } };
    for (const call of [
      () => store.add(jobOf()),
      () => store.get(job.id),
      () => store.list({ limit: 1 }),
      () => store.figures(),
      () => store.cancel(job.id),
      () => store.retry(job.id),
      () => store.purge(),
    ]) {
      await expect(call()).rejects.toMatchObject(gone);
    }
    await own.start();
    await until(async () => (await store.get(job.id).catch(ignored)) !== undefined);
    expect(await store.get(job.id)).toMatchObject({ job, state: 'queued' });
    await store.close();
    await own.stop();
  });

  it('keeps no samples in Redis', async () => {
    const store = await openStore();
    const job = jobOf({ body: { model: 'm', count: 1, seed: '99' } });
    const worker = await openWorker(() => Promise.resolve(new Uint8Array(1e6)));
    await store.add(job);
    await until(async () => (await store.get(job.id))!.state === 'done');
    const client = new Redis(redis.url);
    const used = /used_memory:(\d+)/.exec(await client.info('memory'))![1]!;
    const keys = await client.keys('*');
    const sizes = await Promise.all(keys.map((key) => client.memory('USAGE', key)));
    expect(Number(used)).toBeGreaterThan(0);
    expect(Math.max(...sizes.map(Number))).toBeLessThan(50_000);
    expect(await readdir(join(folder, job.digest.slice(0, 12)))).not.toHaveLength(0);
    client.disconnect();
    await worker.close();
    await store.close();
  });
});
