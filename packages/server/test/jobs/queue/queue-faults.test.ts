// Tests of faults around a queue: foreign payloads, models that go, Redis that is gone.
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Queue } from 'bullmq';
import { DpmError } from 'dpm-native';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import type { BullmqStore } from '../../../src/jobs/queue/bullmq-store.js';
import type { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import { chunkKey } from '../../../src/jobs/job.js';
import { JOBS } from '../../../src/jobs/queue/redis.js';
import { FileResults } from '../../../src/jobs/results/results-file.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe.skipIf(!hasRedis)('a queue', () => {
  let redis: RedisServer;
  let client: Redis;
  let folder: string;
  let store: BullmqStore;
  const workers: JobWorker[] = [];
  beforeAll(async () => {
    redis = await RedisServer.start();
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
  });
  const openStore = (url: string, keep = 60_000): Promise<BullmqStore> => openQueue(url, folder, { keep });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'results-'));
    store = await openStore(redis.url);
  });
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
    await store.close();
    await client.flushall();
    await rm(folder, { recursive: true });
  });

  async function work(draw: DrawChunk, { url = redis.url, engines = ['cpu-test'] } = {}): Promise<JobWorker> {
    const worker = await openWorker(url, folder, draw, engines);
    workers.push(worker);
    return worker;
  }
  const bytes: DrawChunk = () => Promise.resolve(Buffer.from('x'));
  /** Draws until it is aborted. */
  function held(): { draw: DrawChunk; begun: number[]; release: () => void } {
    const begun: number[] = [];
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const draw: DrawChunk = async (_, chunk) => {
      begun.push(chunk);
      await released;
      return Buffer.from('x');
    };
    return { draw, begun, release };
  }

  it('draws again, when it is told to, what somebody has removed or damaged', async () => {
    const drawn: number[] = [];
    await work((_, chunk) => {
      drawn.push(chunk);
      return Promise.resolve(Buffer.from(`chunk ${chunk}`));
    });
    const job = jobOf({ body: { model: 'm', count: 20, chunk: 1, seed: '7' } });
    await store.add(job);
    const isDone = async (): Promise<boolean> => (await store.get(job.id))!.state === 'done';
    await until(isDone);
    await store.retry(job.id);
    expect((await store.get(job.id))!.state).toBe('done');
    const file = (chunk: number): string => join(folder, chunkKey(job, chunk));
    for (const chunk of [3, 19]) await rm(file(chunk));
    await truncate(file(5), 2);
    expect(await store.chunk(job, 3)).toBeUndefined();
    expect(await store.chunk(job, 5)).toBeUndefined();
    const { length } = drawn;
    await store.retry(job.id);
    expect(await store.get(job.id)).toMatchObject({ doneChunks: 17 });
    await until(isDone);
    expect(drawn.slice(length).sort((a, b) => a - b)).toEqual([3, 5, 19]);
    for (const chunk of [3, 5, 19])
      expect(Buffer.from((await store.chunk(job, chunk))!).toString()).toBe(`chunk ${chunk}`);
    await rm(file(19));
    await store.retry(job.id);
    await until(isDone);
    expect(drawn).toHaveLength(length + 4);
  });

  it('does not take the samples of another job that are damaged', async () => {
    await work((_, chunk) => Promise.resolve(Buffer.from(`chunk ${chunk}`)));
    const job = jobOf({ body: { model: 'm', count: 1, chunk: 1, seed: '8' } });
    const same = jobOf({ body: job.body });
    for (const each of [job, same]) {
      await store.add(each);
      await until(async () => (await store.get(each.id))!.state === 'done');
      expect(Buffer.from((await store.chunk(each, 0))!).toString()).toBe('chunk 0');
      await truncate(join(folder, chunkKey(job, 0)), 2);
    }
  });

  it('keeps what was drawn until there is room on the disk', async () => {
    let drawn = 0;
    const put = vi
      .spyOn(FileResults.prototype, 'put')
      .mockRejectedValue(Object.assign(new Error('no'), { code: 'ENOSPC' }));
    onTestFinished(() => {
      put.mockRestore();
    });
    await work(() => Promise.resolve(Buffer.from(`drawn ${++drawn}`)));
    const job = jobOf({ body: { model: 'm', count: 1, chunk: 1, seed: '9' } });
    await store.add(job);
    await until(() => Promise.resolve(put.mock.calls.length > 1));
    expect((await store.get(job.id))!.failures).toEqual([]);
    put.mockRestore();
    await until(async () => (await store.get(job.id))!.state === 'done');
    expect(Buffer.from((await store.chunk(job, 0))!).toString()).toBe('drawn 1');
    expect(drawn).toBe(1);
  });

  it('knows nothing but jobs', async () => {
    const job = jobOf();
    await store.add(job);
    const queue = new Queue(JOBS, { connection: { url: redis.url } });
    await queue.add('job', { any: 'thing' });
    const other = jobOf();
    const odd = { job: { ...other, digest: '../'.repeat(20) }, round: 0, before: 0, isCancelled: false };
    await queue.add('job', odd, { jobId: other.id });
    expect((await store.list({ limit: 9 })).data.map(({ job: { id } }) => id)).toEqual([job.id]);
    // These are names of Redis that are not jobs, and a job that no server has sent.
    for (const id of ['meta', 'events', 'id', 'wait', 'waiting-children', `${job.id}:dependencies`, other.id, '1']) {
      expect(await store.get(id)).toBeUndefined();
      await store.cancel(id);
      await store.retry(id);
    }
    expect(await store.purge()).toBe(0);
    await queue.close();
  });

  it('has the labels of a job once, not with each of its chunks', async () => {
    const classLabels = Array<number>(100_000).fill(100);
    const job = jobOf({ body: { model: 'm', count: 100_000, chunk: 64, seed: '1', classLabels } });
    await store.add(job);
    const [, used] = /used_memory:(\d+)/.exec(await client.info('memory'))!;
    expect(Number(used)).toBeLessThan(20e6);
    const drawn: unknown[] = [];
    await work((given, chunk) => {
      drawn.push([given, chunk]);
      return Promise.resolve(Buffer.from('x'));
    });
    await until(() => drawn.length > 3);
    expect(drawn[0]).toEqual([job, 0]);
    await store.cancel(job.id);
  });

  it.each(['ERR_DPM_CLOSED', 'ERR_DPM_DEVICE'] as const)('is left to others after %s', async (code) => {
    const tries: string[] = [];
    const fails: DrawChunk = ({ engine }) => {
      tries.push(engine);
      return Promise.reject(new DpmError(code, 'the model of the job is not loaded'));
    };
    await work(fails, { engines: ['cpu-test', 'any'] });
    const jobs = [jobOf(), jobOf({ engine: 'any' })];
    for (const job of jobs) await store.add(job);
    await until(() => tries.includes('any') && tries.includes('cpu-test'));
    await sleep(500);
    // Each worker takes two at once.
    expect(tries.length).toBeLessThanOrEqual(8);
    await work(bytes, { engines: ['cpu-test', 'any'] });
    for (const job of jobs) await until(async () => (await store.get(job.id))!.state === 'done');
  });

  it('forgets no job whose chunks are still being drawn', async () => {
    const { draw, begun, release } = held();
    await work(draw);
    const job = jobOf();
    await store.add(job);
    await until(() => begun.length === 2);
    await store.cancel(job.id);
    expect(await store.purge()).toBe(0);
    expect((await store.get(job.id))!.state).toBe('cancelled');
    release();
    await until(async () => (await store.purge()) === 1);
    expect(await store.get(job.id)).toBeUndefined();
  });

  it('lists the jobs of one however many there are of others', async () => {
    const own = jobOf({ tenant: 'own', createdAt: new Date(0).toISOString() });
    const others = Array.from({ length: 1000 }, () => jobOf({ body: { model: 'm', count: 1, seed: '1' } }));
    await Promise.all([own, ...others].map((job) => store.add(job)));
    const all = await store.list({ limit: 1000 });
    expect(all.data).toHaveLength(1000);
    expect(all.data.map(({ job }) => job)).not.toContainEqual(own);
    const rest = await store.list({ limit: 1000, cursor: all.next! });
    expect(rest.data.map(({ job }) => job)).toEqual([own]);
    expect(rest.next).toBeNull();
    const { data, next } = await store.list({ tenant: 'own', limit: 1000 });
    expect(data.map(({ job }) => job)).toEqual([own]);
    expect(next).toBeNull();
  });

  it('has one job where two of an id come at once', async () => {
    const job = jobOf();
    const taken = await Promise.all([store.add(job), store.add({ ...job, asked: 'ef'.repeat(32) })]);
    expect(taken[1]).toEqual(taken[0]);
    expect((await store.get(job.id))!.job).toEqual(taken[0]);
  });

  it('keeps a job from the time on when it was tried again', async () => {
    await store.close();
    store = await openStore(redis.url, 1000);
    let isBroken = true;
    await work(({ id }) =>
      isBroken || id !== job.id ? Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'no')) : bytes(job, 0, signal),
    );
    const { signal } = new AbortController();
    const job = jobOf();
    await store.add(job);
    await until(async () => (await store.get(job.id))!.state === 'failed');
    await sleep(1500);
    isBroken = false;
    await store.retry(job.id);
    // BullMQ removes old jobs whenever another one fails.
    const other = jobOf({ body: { ...job.body, seed: '8' } });
    await store.add(other);
    await until(async () => (await store.get(other.id))?.state === 'failed');
    await until(async () => (await store.get(job.id))!.state === 'done');
  });

  it('leaves no connection where it cannot be used', async () => {
    await client.call('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const connections = async (): Promise<number> => Number(/connected_clients:(\d+)/.exec(await client.info())![1]);
    const before = await connections();
    const opened = work(bytes, { url: redis.url.replace('//', '//mute:secret@') });
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/^queue redis:\/\/127.0.0.1:\d+ cannot be used: NOPERM/) as string,
    });
    await until(async () => (await connections()) === before);
  });

  it.each(['killed', 'stopped'] as const)('is let go of while Redis is %s', async (away) => {
    const own = await RedisServer.start();
    const other = await openStore(own.url);
    const { draw, begun } = held();
    const stopping: DrawChunk = (job, chunk, signal) =>
      Promise.race([
        draw(job, chunk, signal),
        new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(new DpmError('ERR_DPM_ABORTED', 'aborted'));
          });
        }),
      ]);
    const busy = await work(stopping, { url: own.url });
    const idle = await work(bytes, { url: own.url, engines: [] });
    await other.add(jobOf());
    await until(() => begun.length === 2);
    if (away === 'killed') await own.kill();
    else own.signal('SIGSTOP');
    const began = performance.now();
    await Promise.all([other.close(), busy.close(), idle.close()]);
    expect(performance.now() - began).toBeLessThan(60_000);
    await own.stop();
  });
});
