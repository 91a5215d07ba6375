// Tests of the events of a job.
import { setTimeout as sleep } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { eventsOf } from '../../../src/http/routes/job-events.js';
import type { JobState, JobStore } from '../../../src/jobs/store.js';
import { jobOf } from '../../jobs/job-of.js';

/** A store of one job with the methods that events need. A change ends the waits that go on at that moment. */
class OneJob {
  readonly waiting = new Set<() => void>();
  state: JobState | undefined = { job: jobOf(), state: 'running', doneChunks: 0, failures: [] };

  get store(): JobStore {
    const store: Partial<JobStore> = {
      get: () => Promise.resolve(this.state),
      changed: (_, signal) =>
        new Promise((resolve) => {
          const end = (): void => {
            this.waiting.delete(end);
            resolve(true);
          };
          if (signal.aborted) {
            resolve(false);
            return;
          }
          this.waiting.add(end);
          signal.addEventListener('abort', end);
        }),
    };
    return store as JobStore;
  }

  become(state: Partial<JobState> | undefined): void {
    this.state = this.state && state && { ...this.state, ...state };
    for (const tell of this.waiting) tell();
  }
}

const shown = ({ doneChunks }: JobState): object => ({ doneChunks });
const isEnding = (): boolean => false;
const failed = (error: unknown): object => ({ message: (error as Error).message });

it('misses nothing that happens while its reader is slow', async () => {
  const job = new OneJob();
  const events = eventsOf(job.store, '', { signal: new AbortController().signal, isEnding, shown, failed });
  expect((await events.next()).value).toBe('id: running-0\nevent: progress\ndata: {"doneChunks":0}\n\n');
  job.become({ state: 'done', doneChunks: 3 });
  expect((await events.next()).value).toBe('id: done-3\nevent: done\ndata: {"doneChunks":3}\n\n');
  expect((await events.next()).done).toBe(true);
  expect(job.waiting.size).toBe(0);
});

it('tells of changes, not more often than can be read', async () => {
  const job = new OneJob();
  const events = eventsOf(job.store, '', { signal: new AbortController().signal, isEnding, shown, failed });
  await events.next();
  const began = performance.now();
  job.become({ doneChunks: 1 });
  expect((await events.next()).value).toMatch(/^id: running-1\n/);
  expect(performance.now() - began).toBeGreaterThan(150);
  job.become({});
  expect((await events.next()).value).toBe(': nothing new\n\n');
  const failure = { chunk: 0, code: 'ERR_DPM_INTERNAL', message: 'no' };
  job.become({ failures: [failure] });
  expect((await events.next()).value).toMatch(/^id: running-1\nevent: progress\n/);
});

it.each(['its reader leaves', 'the server ends', 'it is forgotten'])('ends when %s', async (why) => {
  const job = new OneJob();
  const left = new AbortController();
  let isDraining = false;
  const events = eventsOf(job.store, '', { signal: left.signal, isEnding: () => isDraining, shown, failed });
  await events.next();
  const next = events.next();
  await sleep(20);
  if (why === 'its reader leaves') left.abort();
  if (why === 'the server ends') isDraining = true;
  job.become(why === 'it is forgotten' ? undefined : {});
  expect(await next).toEqual({ done: true, value: undefined });
  expect(job.waiting.size).toBe(0);
});

it('ends where its reader left before it began', async () => {
  const job = new OneJob();
  const events = eventsOf(job.store, '', { signal: AbortSignal.abort(), isEnding, shown, failed });
  expect((await events.next()).value).toMatch(/^id: running-0\n/);
  expect((await events.next()).done).toBe(true);
  expect(job.waiting.size).toBe(0);
});

it('waits for nothing when it is given up', async () => {
  const job = new OneJob();
  const events = eventsOf(job.store, '', { signal: new AbortController().signal, isEnding, shown, failed });
  await events.next();
  expect(job.waiting.size).toBe(1);
  await events.return();
  expect(job.waiting.size).toBe(0);
});

it('says when the job cannot be read any more', async () => {
  const job = new OneJob();
  let isGone = false;
  const store = {
    ...job.store,
    get: (id: string) => (isGone ? Promise.reject(new Error('gone')) : job.store.get(id)),
  };
  const events = eventsOf(store, '', { signal: new AbortController().signal, isEnding, shown, failed });
  await events.next();
  isGone = true;
  job.become({});
  expect((await events.next()).value).toBe('event: error\ndata: {"message":"gone"}\n\n');
  expect((await events.next()).done).toBe(true);
});

it('reads no job that has not changed', async () => {
  const job = new OneJob();
  let reads = 0;
  const store = {
    ...job.store,
    get: (id: string) => {
      ++reads;
      return job.store.get(id);
    },
    changed: () => Promise.resolve(false),
  };
  const events = eventsOf(store, '', { signal: new AbortController().signal, isEnding, shown, failed });
  await events.next();
  for (let i = 0; i < 2; ++i) expect((await events.next()).value).toBe(': nothing new\n\n');
  expect(reads).toBe(1);
  await events.return();
});
