// Tests of two requests that change a job at one moment.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FlowProducer, type FlowJob, type JobNode } from 'bullmq';
import { DpmError } from 'dpm-native';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Quota } from '../../../src/base/client.js';
import type { BullmqStore } from '../../../src/jobs/queue/bullmq-store.js';
import type { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import { Holdings } from '../../../src/jobs/queue/holdings.js';
import { Marks, type Swap } from '../../../src/jobs/queue/marks.js';
import { Room } from '../../../src/jobs/queue/room.js';
import { queueOf, type Job } from '../../../src/jobs/job.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

describe.skipIf(!hasRedis)('two changes of a job', () => {
  let redis: RedisServer;
  let folder: string;
  let stores: BullmqStore[];
  let worker: JobWorker | undefined;
  let isBroken: boolean;
  const draw: DrawChunk = () =>
    isBroken ? Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'no')) : Promise.resolve(Buffer.from('x'));
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(async () => {
    await redis.stop();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'results-'));
    stores = [await openQueue(redis.url, folder), await openQueue(redis.url, folder)];
    isBroken = true;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await worker?.close();
    worker = undefined;
    await Promise.all(stores.map((store) => store.close()));
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    await rm(folder, { recursive: true });
  });

  async function work(): Promise<void> {
    worker = await openWorker(redis.url, folder, draw);
  }
  /** A job that has failed, and that nobody draws. */
  async function failedJob(): Promise<Job> {
    const job = jobOf();
    await stores[0]!.add(job);
    await work();
    await until(async () => (await stores[0]!.get(job.id))!.state === 'failed');
    await worker?.close();
    worker = undefined;
    return job;
  }
  /** Does something once, between the moment when a change has read the job and that when it writes. */
  function between(doing: () => Promise<void>): { tries: () => number } {
    const real: (this: Marks, swap: Swap) => Promise<boolean> = Reflect.get(Marks.prototype, 'swap');
    let tries = 0;
    vi.spyOn(Marks.prototype, 'swap').mockImplementation(async function (this: Marks, swap: Swap) {
      if (++tries === 1) await doing();
      return real.call(this, swap);
    });
    return { tries: () => tries };
  }
  async function waitingChunks(job: Job): Promise<number> {
    const client = new Redis(redis.url);
    const waiting = await client.zcard(`bull:${queueOf(job)}:prioritized`);
    client.disconnect();
    return waiting;
  }
  const stateOf = async ({ id }: Job): Promise<string> => (await stores[0]!.get(id))!.state;

  it('cancels the new round where a retry comes in between', async () => {
    const job = jobOf();
    await stores[0]!.add(job);
    const { tries } = between(async () => {
      await work();
      await until(async () => (await stateOf(job)) === 'failed');
      await worker?.close();
      worker = undefined;
      await stores[1]!.retry(job.id);
    });
    await stores[0]!.cancel(job.id);
    // The first try, the retry, and the cancellation of what the retry has begun.
    expect(tries()).toBe(3);
    expect(await stateOf(job)).toBe('cancelled');
    isBroken = false;
    await work();
    await stores[1]!.retry(job.id);
    expect(await stateOf(job)).toBe('cancelled');
  });

  it('loses no cancellation where a retry has read the job before', async () => {
    const job = await failedJob();
    between(async () => {
      await stores[1]!.retry(job.id);
      await stores[1]!.cancel(job.id);
    });
    await stores[0]!.retry(job.id);
    expect(await stateOf(job)).toBe('cancelled');
    expect(await waitingChunks(job)).toBe(0);
  });

  it('leaves no chunks of a retry that comes after a cancellation it did not see', async () => {
    const job = await failedJob();
    const real: (this: FlowProducer, flow: FlowJob) => Promise<JobNode> = Reflect.get(FlowProducer.prototype, 'add');
    vi.spyOn(FlowProducer.prototype, 'add').mockImplementationOnce(async function (this: FlowProducer, flow) {
      await stores[1]!.retry(job.id);
      await stores[1]!.cancel(job.id);
      return real.call(this, flow);
    });
    await stores[0]!.retry(job.id);
    expect(await stateOf(job)).toBe('cancelled');
    expect(await waitingChunks(job)).toBe(0);
  });

  it('gives back the room that a retry has taken after a cancellation it did not see', async () => {
    const job = await failedJob();
    const real: (this: Room, job: Job, quota: Quota) => Promise<void> = Reflect.get(Room.prototype, 'take');
    vi.spyOn(Room.prototype, 'take').mockImplementationOnce(async function (this: Room, ...taken) {
      await stores[1]!.retry(job.id);
      await stores[1]!.cancel(job.id);
      await real.apply(this, taken);
    });
    await stores[0]!.retry(job.id);
    expect(await stateOf(job)).toBe('cancelled');
    const client = new Redis(redis.url);
    expect((await new Holdings(client).all()).map(({ isOver }) => isOver)).toEqual([true]);
    client.disconnect();
  });

  it('draws once what two retries want', async () => {
    const job = await failedJob();
    between(() => stores[1]!.retry(job.id));
    await stores[0]!.retry(job.id);
    const client = new Redis(redis.url);
    expect(JSON.parse((await client.hget(`bull:dpm-jobs:${job.id}`, 'data'))!)).toMatchObject({
      round: 1,
      isCancelled: false,
    });
    client.disconnect();
    isBroken = false;
    await work();
    await until(async () => (await stateOf(job)) === 'done');
  });

  it('leaves a job alone that ends before it is cancelled', async () => {
    isBroken = false;
    const job = jobOf();
    await stores[0]!.add(job);
    between(async () => {
      await work();
      await until(async () => (await stateOf(job)) === 'done');
    });
    await stores[0]!.cancel(job.id);
    expect(await stateOf(job)).toBe('done');
    expect(await stores[0]!.chunk(job, 0)).toBeDefined();
  });

  it('come one after the other whenever they come', async () => {
    for (let i = 0; i < 8; ++i) {
      isBroken = true;
      const job = await failedJob();
      await Promise.all([stores[0]!.retry(job.id), stores[1]!.cancel(job.id), stores[1]!.retry(job.id)]);
      const before = await stateOf(job);
      expect(['queued', 'cancelled']).toContain(before);
      await stores[0]!.cancel(job.id);
      expect(await stateOf(job)).toBe('cancelled');
    }
  });
});
