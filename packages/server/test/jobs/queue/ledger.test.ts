// Tests of the figures of a queue, what reading them costs, and of the one subscription for all who wait.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { FlowProducer, Queue } from 'bullmq';
import { DpmError } from 'dpm-native';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { eventsOf } from '../../../src/http/routes/job-events.js';
import { allChunks, flowOf } from '../../../src/jobs/queue/bullmq-flow.js';
import type { BullmqStore, QueueOptions } from '../../../src/jobs/queue/bullmq-store.js';
import type { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import { Ledger } from '../../../src/jobs/queue/ledger.js';
import { findJob, listJobs } from '../../../src/jobs/places/admin.js';
import { JOBS } from '../../../src/jobs/queue/redis.js';
import { queueOf, type Job } from '../../../src/jobs/job.js';
import type { DrawChunk, JobState } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { openQueue, openWorker } from './open-queue.js';
import { hasRedis, RedisServer } from './redis-server.js';

const bytes: DrawChunk = () => Promise.resolve(Buffer.from('x'));
const small = (): Job => jobOf({ body: { model: 'm', count: 1, seed: '1' } });
const queue = queueOf(jobOf());

describe.skipIf(!hasRedis)('the ledger of a queue', () => {
  let redis: RedisServer;
  let client: Redis;
  let folder: string;
  let store: BullmqStore;
  const workers: JobWorker[] = [];
  const openStore = (more: Partial<QueueOptions> = {}): Promise<BullmqStore> =>
    openQueue(more.queue ?? redis.url, folder, more);
  beforeAll(async () => {
    redis = await RedisServer.start();
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'results-'));
    store = await openStore();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
    await store.close();
    await client.flushall();
    await rm(folder, { recursive: true });
  });

  async function work(draw: DrawChunk): Promise<JobWorker> {
    const worker = await openWorker(redis.url, folder, draw);
    workers.push(worker);
    return worker;
  }

  /** The commands that Redis has run since the last look, those of scripts as well; `info` and `config` are our own. */
  async function commandsOf(doing: () => Promise<unknown>): Promise<Map<string, number>> {
    await client.config('RESETSTAT');
    await doing();
    const info = await client.info('commandstats');
    const all = [...info.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(([, name = '', calls]) => [name, Number(calls)]);
    return new Map(all.filter(([name]) => !/^(?:info|config|ping)/.test(String(name))) as [string, number][]);
  }
  const sum = (commands: Map<string, number>): number => [...commands.values()].reduce((all, each) => all + each, 0);

  async function told(): Promise<Record<string, number>> {
    const { jobs, rowsLeft } = await store.figures();
    return { ...Object.fromEntries(jobs), rows: rowsLeft.get(queue) ?? 0 };
  }
  const comesTo = (wanted: Record<string, number>): Promise<void> =>
    until(async () => isDeepStrictEqual(await told(), wanted));

  it('costs the same few commands whatever is queued, and knows 2,000 jobs that wait behind finished ones', async () => {
    expect(sum(await commandsOf(() => store.figures()))).toBeLessThanOrEqual(10);
    const jobs = Array.from({ length: 2000 }, small);
    for (let at = 0; at < jobs.length; at += 100) {
      await Promise.all(jobs.slice(at, at + 100).map((job) => store.add(job)));
    }
    for (const { id } of jobs.slice(-500)) await store.cancel(id);
    expect(sum(await commandsOf(() => store.figures()))).toBeLessThanOrEqual(10);
    expect(await told()).toEqual({ queued: 1500, cancelled: 500, rows: 150_000 });
    const commands = await commandsOf(() => store.list({ limit: 10 }));
    expect(commands.get('zrevrangebylex')).toBe(1);
    expect(sum(commands)).toBeLessThan(300);
  });

  it('has one subscription for all who wait, and no commands while nothing changes', async () => {
    const job = small();
    await store.add(job);
    const left = Array.from({ length: 300 }, () => new AbortController());
    const watched = {
      isEnding: () => false,
      shown: ({ state }: JobState) => ({ state }),
      failed: () => ({}),
    };
    const streams = left.map(({ signal }) => eventsOf(store, job.id, { ...watched, signal }));
    for (const stream of streams) expect((await stream.next()).value).toMatch(/^id: queued-0\n/);
    const next = streams.map((stream) => stream.next());
    // The first wait subscribes, after which the job is read once more.
    await sleep(1000);
    expect(await client.pubsub('NUMSUB', 'dpm-changed')).toEqual(['dpm-changed', 1]);
    expect(sum(await commandsOf(() => sleep(2000)))).toBeLessThanOrEqual(2);
    await store.cancel(job.id);
    for (const each of await Promise.all(next)) expect(each.value).toMatch(/^(?:id: cancelled-0\n|: nothing new)/);
    for (const each of left) each.abort();
    await Promise.all(streams.map((stream) => stream.return()));
  });

  it('tells a waiting reader of another process, and nobody who waits for another job', async () => {
    const [job, other] = [small(), small()];
    for (const each of [job, other]) await store.add(each);
    const { signal } = new AbortController();
    // The first wait ends when the subscription is there.
    await store.changed(job.id, signal);
    await sleep(100);
    const left = new AbortController();
    const waits = [store.changed(job.id, signal), store.changed(other.id, left.signal)];
    const process = await openStore();
    await process.cancel(job.id);
    expect(await waits[0]).toBe(true);
    left.abort();
    expect(await waits[1]).toBe(false);
    await process.close();
  });

  it('ends all waits when Redis goes, the server pauses, or closes', async () => {
    const own = await RedisServer.start();
    const other = await openStore({ queue: own.url });
    const { signal } = new AbortController();
    await other.changed('any', signal);
    await sleep(100);
    const paused = other.changed('any', signal);
    other.pause();
    expect(await paused).toBe(true);
    const gone = other.changed('any', signal);
    await own.kill();
    expect(await gone).toBe(true);
    const closed = other.changed('any', signal);
    await other.close();
    expect(await closed).toBe(true);
    expect(await other.changed('any', signal)).toBe(true);
    await own.stop();
  });

  it('counts the jobs of a Redis that an earlier version has used', async () => {
    await store.close();
    await client.flushall();
    const flows = new FlowProducer({ connection: { url: redis.url } });
    const jobs = [small(), jobOf(), jobOf()];
    for (const [i, job] of jobs.entries()) {
      const queued = { job, round: 0, before: 0, isCancelled: i === 2 };
      await flows.add(flowOf(queued, allChunks(job), { keep: 60_000 }));
    }
    store = await openStore();
    expect(await told()).toEqual({ queued: 2, cancelled: 1, rows: 200 });
    expect((await store.list({ limit: 9 })).data).toHaveLength(3);
    // A server of that version may still be running, and takes in another one.
    const later = small();
    await flows.add(flowOf({ job: later, round: 0, before: 0, isCancelled: false }, [0], { keep: 60_000 }));
    await store.close();
    store = await openStore({ catchUp: 50 });
    await comesTo({ queued: 3, cancelled: 1, rows: 300 });
    const last = small();
    await flows.add(flowOf({ job: last, round: 0, before: 0, isCancelled: false }, [0], { keep: 60_000 }));
    await comesTo({ queued: 4, cancelled: 1, rows: 400 });
    await flows.close();
  });

  it('looks through more events than are read at once', async () => {
    const flows = new FlowProducer({ connection: { url: redis.url } });
    const jobs = Array.from({ length: 1200 }, small);
    await flows.addBulk(
      jobs.map((job) => flowOf({ job, round: 0, before: 0, isCancelled: false }, [], { keep: 60_000 })),
    );
    await store.close();
    store = await openStore();
    expect(await told()).toEqual({ queued: 1200, rows: 120_000 });
    await flows.close();
  });

  it('makes up for a worker that died before it noted what it had done', async () => {
    await store.close();
    store = await openStore({ catchUp: 50 });
    const note = vi.spyOn(Ledger.prototype, 'note');
    const job = jobOf();
    await store.add(job);
    note.mockImplementation(() => Promise.resolve());
    await work(bytes);
    await until(async () => (await store.get(job.id))!.state === 'done');
    expect(await told()).toEqual({ queued: 1, rows: 100 });
    note.mockRestore();
    // The events of the job were looked at in vain while nothing was noted.
    await client.set('dpm-jobs:seen', '0-0');
    await comesTo({ done: 1, rows: 0 });
  });

  it('forgets what BullMQ has removed as it was old', async () => {
    await store.close();
    // Redis remembers jobs for a week longer than they are kept, so that is a second.
    store = await openStore({ keep: 1000 - 604_800_000 });
    await work((job) =>
      job.body.seed === '9' ? Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'no')) : bytes(job, 0, signal),
    );
    const { signal } = new AbortController();
    const old = [small(), small(), small()];
    for (const job of old) await store.add(job);
    await comesTo({ done: 3, rows: 0 });
    await sleep(1500);
    await store.add(small());
    await comesTo({ done: 1, rows: 0 });
    expect((await store.list({ limit: 9 })).data).toHaveLength(1);
    expect(await client.zcard('dpm-jobs:order')).toBe(1);
    expect(await client.zcard('dpm-jobs:order:')).toBe(1);
    expect(await client.hlen('dpm-jobs:entries')).toBe(1);
  });

  it('is read to the end, or as far as is wanted, by the command', async () => {
    const jobs = Array.from({ length: 1001 }, small);
    for (let at = 0; at < jobs.length; at += 100) {
      await Promise.all(jobs.slice(at, at + 100).map((job) => store.add(job)));
    }
    const all = await listJobs({ queue: redis.url });
    expect(new Set(all.map(({ id }) => id)).size).toBe(1001);
    expect(await listJobs({ queue: redis.url }, 3)).toEqual(all.slice(0, 3));
    expect(await findJob({ queue: redis.url }, all[1000]!.id)).toEqual(all[1000]);
    expect(await findJob({ queue: redis.url }, jobOf().id)).toBeUndefined();
  });

  it('leaves out of a page what has been removed since it was noted', async () => {
    const [job, gone] = [small(), small()];
    for (const each of [job, gone]) await store.add(each);
    const jobs = new Queue(JOBS, { connection: { url: redis.url } });
    await jobs.remove(gone.id, { removeChildren: true });
    await jobs.close();
    expect((await store.list({ limit: 9 })).data.map(({ job: { id } }) => id)).toEqual([job.id]);
    expect(await told()).toEqual({ queued: 1, rows: 100 });
  });

  it('keeps figures for a user of Redis who may not publish', async () => {
    await client.call('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const mute = await openStore({ queue: redis.url.replace('//', '//mute:secret@') });
    await mute.add(small());
    expect(await told()).toEqual({ queued: 1, rows: 100 });
    await mute.close();
  });
});
