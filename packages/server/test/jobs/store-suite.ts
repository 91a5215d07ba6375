// Tests that every store of jobs has to pass.
import { isDeepStrictEqual } from 'node:util';

import { DpmError } from 'dpm-native';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { queueOf, type Job } from '../../src/jobs/job.js';
import { unlimited, type Quota } from '../../src/base/client.js';
import { bytesOf } from '../../src/jobs/admission.js';
import type { DrawChunk, JobState, JobStore } from '../../src/jobs/store.js';
import { until } from '../support.js';
import { jobOf } from './job-of.js';

/** A store whose chunks are drawn by a function. */
export interface Harness {
  store: JobStore;
  /** Ends the part that draws, or starts it again with the jobs that are kept. */
  stop(): Promise<void>;
  start(draw: DrawChunk): Promise<void>;
  /** Removes everything. */
  remove(): Promise<void>;
}

const text = (job: Job, chunk: number): Uint8Array => Buffer.from(`${job.id} ${job.body.seed} ${chunk}`);

/** Draws at once, and notes the chunks. */
function drawing(): { draw: DrawChunk; drawn: number[] } {
  const drawn: number[] = [];
  return {
    drawn,
    draw: (job, chunk) => {
      drawn.push(chunk);
      return Promise.resolve(text(job, chunk));
    },
  };
}

/** Draws nothing until it is told to. */
function held(): { draw: DrawChunk; begun: number[]; aborted: number[]; release: () => void } {
  const begun: number[] = [];
  const aborted: number[] = [];
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const draw: DrawChunk = async (job, chunk, signal) => {
    begun.push(chunk);
    await Promise.race([
      released,
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted.push(chunk);
          reject(new DpmError('ERR_DPM_ABORTED', 'aborted'));
        });
      }),
    ]);
    return text(job, chunk);
  };
  return { draw, begun, aborted, release };
}

/** The tests of a store. */
export function describeStore(name: string, open: () => Promise<Harness>): void {
  describe(name, () => {
    let harness: Harness;
    beforeEach(async () => {
      harness = await open();
    });
    afterEach(async () => {
      await harness.stop();
      await harness.remove();
    });

    const state = async (job: Job): Promise<JobState> => (await harness.store.get(job.id))!;
    const comesTo = async (job: Job, phase: JobState['state']): Promise<JobState> => {
      await until(async () => (await state(job)).state === phase);
      return state(job);
    };

    it('has all chunks drawn, each once', async () => {
      const { draw, drawn } = drawing();
      const job = jobOf();
      expect(await harness.store.get(job.id)).toBeUndefined();
      await harness.store.add(job);
      expect(await state(job)).toEqual({ job, state: 'queued', doneChunks: 0, failures: [] });
      expect(await harness.store.chunk(job, 0)).toBeUndefined();
      await harness.start(draw);
      expect(await comesTo(job, 'done')).toEqual({ job, state: 'done', doneChunks: 3, failures: [] });
      expect(drawn.sort()).toEqual([0, 1, 2]);
      for (const chunk of [0, 1, 2]) {
        expect(Buffer.from((await harness.store.chunk(job, chunk))!)).toEqual(text(job, chunk));
      }
    });

    it('takes a job of the same id once', async () => {
      const { draw, drawn } = drawing();
      const job = jobOf();
      const other = { ...job, asked: 'ef'.repeat(32) };
      const taken = await Promise.all([harness.store.add(job), harness.store.add(job)]);
      expect(taken).toEqual([job, job]);
      expect(await harness.store.add(other)).toEqual(job);
      await harness.start(draw);
      await comesTo(job, 'done');
      expect(drawn).toHaveLength(3);
      expect((await harness.store.list({ limit: 9 })).data).toHaveLength(1);
    });

    it('tries a chunk four times, draws the others, and again when it is told to', async () => {
      const tries: number[] = [];
      let isBroken = true;
      await harness.start((job, chunk) => {
        tries.push(chunk);
        if (chunk === 1 && isBroken) return Promise.reject(new Error('a secret of this machine'));
        return Promise.resolve(text(job, chunk));
      });
      const job = jobOf();
      await harness.store.add(job);
      const failed = await comesTo(job, 'failed');
      expect(failed.doneChunks).toBe(2);
      expect(failed.failures).toEqual([{ chunk: 1, code: 'ERR_DPM_INTERNAL', message: expect.any(String) as string }]);
      expect(failed.failures[0]!.message).not.toContain('secret');
      expect(tries.filter((chunk) => chunk === 1)).toHaveLength(4);
      await harness.store.retry(job.id);
      expect(await comesTo(job, 'failed')).toMatchObject({ doneChunks: 2 });
      isBroken = false;
      await harness.store.retry(job.id);
      expect(await comesTo(job, 'done')).toMatchObject({ doneChunks: 3, failures: [] });
      expect(tries.filter((chunk) => chunk !== 1)).toHaveLength(2);
      await harness.store.retry(job.id);
      expect((await state(job)).state).toBe('done');
      expect(await harness.store.purge()).toBe(1);
      expect(await harness.store.get(job.id)).toBeUndefined();
    });

    it('tries what is wrong in itself once', async () => {
      const tries: number[] = [];
      await harness.start((_, chunk) => {
        tries.push(chunk);
        return Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'order is 9'));
      });
      const job = jobOf();
      await harness.store.add(job);
      const { failures } = await comesTo(job, 'failed');
      expect([...failures].sort((a, b) => a.chunk - b.chunk)).toEqual(
        [0, 1, 2].map((chunk) => ({ chunk, code: 'ERR_DPM_ARGUMENT', message: 'order is 9' })),
      );
      expect(tries).toHaveLength(3);
    });

    it('ends a job that is being drawn', async () => {
      const { draw, begun, aborted } = held();
      await harness.start(draw);
      const job = jobOf();
      await harness.store.add(job);
      await until(() => begun.length === 2);
      expect((await state(job)).state).toBe('running');
      await harness.store.cancel(job.id);
      expect((await state(job)).state).toBe('cancelled');
      await until(() => aborted.length === 2);
      await harness.store.cancel(job.id);
      await harness.store.retry(job.id);
      expect(await state(job)).toEqual({ job, state: 'cancelled', doneChunks: 0, failures: [] });
      expect(begun).toHaveLength(2);
    });

    it('ends a job that waits, and none that is over', async () => {
      const job = jobOf();
      await harness.store.add(job);
      await harness.store.cancel(job.id);
      const { draw, drawn } = drawing();
      await harness.start(draw);
      const next = jobOf();
      await harness.store.add(next);
      await comesTo(next, 'done');
      expect(drawn).toHaveLength(3);
      await harness.store.cancel(next.id);
      expect((await state(next)).state).toBe('done');
      expect((await state(job)).state).toBe('cancelled');
      await harness.store.cancel('00000000-0000-0000-0000-000000000000');
      await harness.store.retry('00000000-0000-0000-0000-000000000000');
    });

    it('goes on with what is missing after an end', async () => {
      const first = held();
      await harness.start(first.draw);
      const job = jobOf();
      await harness.store.add(job);
      await until(() => first.begun.length === 2);
      await harness.stop();
      expect(first.aborted.sort()).toEqual([0, 1]);
      const { draw, drawn } = drawing();
      await harness.start(draw);
      await comesTo(job, 'done');
      expect(drawn.sort()).toEqual([0, 1, 2]);
    });

    it('draws what has priority first, then what came first', async () => {
      const begun: string[] = [];
      const ends: (() => void)[] = [];
      const jobs = (['low', 'normal', 'normal', 'high'] as const).map((priority, i) =>
        jobOf({
          createdAt: new Date(1e12 + i).toISOString(),
          body: { model: `${priority} ${i}`, count: 1, seed: String(i), priority },
        }),
      );
      for (const job of jobs) await harness.store.add(job);
      await harness.start((job, chunk, signal) => {
        begun.push(job.body.model);
        return new Promise((resolve, reject) => {
          ends.push(() => {
            resolve(text(job, chunk));
          });
          signal.addEventListener('abort', () => {
            reject(new DpmError('ERR_DPM_ABORTED', 'aborted'));
          });
        });
      });
      // Two are drawn at once; the next begins when one of them has ended.
      await until(() => begun.length === 2);
      expect(begun.toSorted()).toEqual(['high 3', 'normal 1']);
      ends[0]!();
      await until(() => begun.length === 3);
      ends[1]!();
      await until(() => begun.length === 4);
      expect(begun.slice(2)).toEqual(['normal 2', 'low 0']);
      for (const end of ends) end();
      for (const job of jobs) await comesTo(job, 'done');
      expect((await harness.store.list({ limit: 9 })).data.map(({ job }) => job.body.model)).toEqual(
        jobs.map(({ body }) => body.model).reverse(),
      );
    });

    it('draws no more at once than there is room for', async () => {
      const { draw, begun, release } = held();
      await harness.start(draw);
      const job = jobOf({ body: { model: 'm', count: 9, chunk: 1, seed: '1' } });
      await harness.store.add(job);
      await until(() => begun.length === 2);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(begun).toHaveLength(2);
      release();
      await comesTo(job, 'done');
    });

    it('leaves what is for other engines to others', async () => {
      const { draw, drawn } = drawing();
      await harness.start(draw);
      const other = jobOf({ engine: 'cuda-other' });
      const own = jobOf();
      await harness.store.add(other);
      await harness.store.add(own);
      await comesTo(own, 'done');
      expect((await state(other)).state).toBe('queued');
      expect(drawn).toHaveLength(3);
    });

    it('forgets what is over, and only that', async () => {
      const { draw } = drawing();
      await harness.start(draw);
      const [done, cancelled] = [jobOf(), jobOf({ engine: 'other' })];
      const waiting = jobOf({ engine: 'other' });
      for (const job of [done, cancelled, waiting]) await harness.store.add(job);
      await harness.store.cancel(cancelled.id);
      await comesTo(done, 'done');
      expect(await harness.store.purge()).toBe(2);
      expect((await harness.store.list({ limit: 9 })).data.map(({ job }) => job.id)).toEqual([waiting.id]);
      expect(await harness.store.get(done.id)).toBeUndefined();
      // The store then behaves as if the job had never been there.
      await harness.store.add(done);
      await comesTo(done, 'done');
    });

    it('lists those of a client', async () => {
      const [own, other] = [jobOf({ tenant: 'own' }), jobOf({ tenant: 'other' })];
      for (const job of [own, other]) await harness.store.add(job);
      const { data } = await harness.store.list({ tenant: 'own', limit: 9 });
      expect(data.map(({ job }) => job)).toEqual([own]);
    });

    it('lists by pages, each job once, while others are added and removed', async () => {
      // Two of them came in the same millisecond.
      const jobs = [5, 4, 3, 3, 2, 1].map((at) => jobOf({ createdAt: new Date(1e12 + at).toISOString() }));
      for (const job of jobs) await harness.store.add(job);
      const found: string[] = [];
      const sizes: number[] = [];
      let cursor: string | undefined;
      do {
        const { data, next } = await harness.store.list({ limit: 2, cursor });
        sizes.push(data.length);
        found.push(...data.map(({ job }) => job.id));
        cursor = next ?? undefined;
        await harness.store.add(jobOf({ createdAt: new Date(2e12 + sizes.length).toISOString() }));
      } while (cursor !== undefined);
      expect(sizes).toEqual([2, 2, 2]);
      expect(found.toSorted()).toEqual(jobs.map(({ id }) => id).toSorted());
      expect([found[0], found[5]]).toEqual([jobs[0]!.id, jobs[5]!.id]);
    });

    it.each(['', 'next', Buffer.from('1 2').toString('base64url')])('knows no page after %j', async (cursor) => {
      const wrong = { code: 'ERR_DPM_ARGUMENT', message: expect.stringMatching(/^cursor /) as string };
      await expect(harness.store.list({ limit: 1, cursor })).rejects.toMatchObject(wrong);
    });

    it('counts jobs and what they wait for, whatever happens to them', async () => {
      const queue = queueOf(jobOf());
      const told = async (): Promise<object> => {
        const { jobs, rowsLeft } = await harness.store.figures();
        return { ...Object.fromEntries([...jobs].filter(([, count]) => count > 0)), rows: rowsLeft.get(queue) ?? 0 };
      };
      expect(await told()).toEqual({ rows: 0 });
      const [first, second] = [jobOf({ rows: 90 }), jobOf({ rows: 0.5 })];
      const third = jobOf({ rows: 300, body: { ...first.body, seed: '8' } });
      for (const job of [first, second]) await harness.store.add(job);
      await harness.store.add(jobOf({ engine: 'other', rows: 7 }));
      await harness.store.add(first);
      expect(await told()).toEqual({ queued: 3, rows: 90.5 });
      await harness.store.cancel(second.id);
      expect(await told()).toEqual({ queued: 2, cancelled: 1, rows: 90 });
      const counts = async (wanted: object): Promise<void> => {
        await until(async () => isDeepStrictEqual(await told(), wanted));
      };
      const [before, after] = [held(), held()];
      let isBroken = true;
      await harness.start(async (job, chunk, signal) => {
        if (isBroken && chunk === 1) throw new DpmError('ERR_DPM_ARGUMENT', 'no');
        return (isBroken ? before : after).draw(job, chunk, signal);
      });
      await until(() => before.begun.length === 2);
      await counts({ queued: 1, running: 1, cancelled: 1, rows: 60 });
      before.release();
      await counts({ queued: 1, failed: 1, cancelled: 1, rows: 0 });
      isBroken = false;
      await harness.store.retry(first.id);
      await harness.store.add(third);
      await until(() => after.begun.length === 2);
      await counts({ queued: 1, running: 2, cancelled: 1, rows: 330 });
      after.release();
      await counts({ queued: 1, done: 2, cancelled: 1, rows: 0 });
      expect(await harness.store.purge()).toBe(3);
      expect(await told()).toEqual({ queued: 1, rows: 0 });
    });

    const refused = (name: string): object => ({
      code: 'ERR_DPM_QUOTA',
      message: expect.stringMatching(`^quota ${name} is`) as string,
    });
    const limits: [keyof Quota, number][] = [
      ['unfinishedJobs', 2],
      ['unfinishedSamples', 20],
      ['resultBytes', 2 * bytesOf(jobOf())],
    ];

    it.each(limits)('takes of a tenant what its quota %s says, and no more', async (name, most) => {
      const quota = { ...unlimited, [name]: most };
      const jobs = Array.from({ length: 10 }, () => jobOf({ tenant: 'own' }));
      const taken = await Promise.allSettled(jobs.map((job) => harness.store.add(job, quota)));
      const reasons = taken.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(reasons).toHaveLength(8);
      for (const reason of reasons) expect(reason).toMatchObject(refused(name));
      // What was taken in is taken in again, and others have quotas of their own.
      const { data } = await harness.store.list({ limit: 9 });
      expect(data).toHaveLength(2);
      const [{ job }] = data as [JobState, JobState];
      expect(await harness.store.add(job, quota)).toEqual(job);
      await harness.store.add(jobOf({ tenant: 'other' }), quota);
      await expect(
        harness.store.add(jobOf({ tenant: 'own' }), { ...unlimited, [name]: most - 1 }),
      ).rejects.toMatchObject(refused(name));
    });

    it.each(limits)('has room in the quota %s again for what has been drawn or cancelled', async (name, most) => {
      const quota = { ...unlimited, [name]: most };
      const other = jobOf({ tenant: 'own', engine: 'other' });
      const own = jobOf({ tenant: 'own' });
      for (const job of [own, other]) await harness.store.add(job, quota);
      await expect(harness.store.add(jobOf({ tenant: 'own' }), quota)).rejects.toMatchObject(refused(name));
      await harness.start(drawing().draw);
      await comesTo(own, 'done');
      // Of a quota of bytes the samples that were drawn go.
      const next = jobOf({ tenant: 'own', engine: 'other' });
      await harness.store.add(next, quota);
      expect(await harness.store.get(own.id)).toEqual(name === 'resultBytes' ? undefined : expect.anything());
      await expect(harness.store.add(jobOf({ tenant: 'own' }), quota)).rejects.toMatchObject(refused(name));
      await harness.store.cancel(other.id);
      await harness.store.cancel(other.id);
      await harness.store.add(jobOf({ tenant: 'own', engine: 'other' }), quota);
      await expect(harness.store.add(jobOf({ tenant: 'own' }), quota)).rejects.toMatchObject(refused(name));
    });

    it('counts for a quota what was there before it began', async () => {
      const quota = { ...unlimited, unfinishedJobs: 1 };
      await harness.store.add(jobOf({ tenant: 'own', engine: 'other' }), quota);
      await harness.start(drawing().draw);
      await expect(harness.store.add(jobOf({ tenant: 'own' }), quota)).rejects.toMatchObject(refused('unfinishedJobs'));
    });

    it('has room for the bytes of what is forgotten', async () => {
      const quota = { ...unlimited, resultBytes: bytesOf(jobOf()) };
      await harness.start(drawing().draw);
      const first = jobOf();
      await harness.store.add(first, quota);
      await comesTo(first, 'done');
      expect(await harness.store.purge()).toBe(1);
      const [second, third] = [jobOf({ engine: 'other' }), jobOf()];
      await harness.store.add(second, quota);
      await expect(harness.store.add(third, quota)).rejects.toMatchObject(refused('resultBytes'));
      await harness.store.cancel(second.id);
      expect(await harness.store.purge()).toBe(1);
      await harness.store.add(third, quota);
    });

    it('counts what is tried again as a new job', async () => {
      const quota = { ...unlimited, unfinishedJobs: 1 };
      await harness.start(() => Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'order is 9')));
      const failed = jobOf();
      await harness.store.add(failed, quota);
      await comesTo(failed, 'failed');
      const waiting = jobOf({ engine: 'other' });
      await harness.store.add(waiting, quota);
      await expect(harness.store.retry(failed.id, quota)).rejects.toMatchObject(refused('unfinishedJobs'));
      expect((await state(failed)).state).toBe('failed');
      await harness.store.cancel(waiting.id);
      await harness.stop();
      await harness.start(held().draw);
      await harness.store.retry(failed.id, quota);
      await expect(harness.store.add(jobOf(), quota)).rejects.toMatchObject(refused('unfinishedJobs'));
    });

    it('tells when a job has changed', async () => {
      const { draw } = drawing();
      const job = jobOf();
      await harness.store.add(job);
      await harness.start(draw);
      const signal = AbortSignal.timeout(15_000);
      while ((await state(job)).state !== 'done') await harness.store.changed(job.id, signal);
      expect(signal.aborted).toBe(false);
      const left = new AbortController();
      const waited = harness.store.changed(job.id, left.signal);
      left.abort();
      await waited;
    });
  });
}
