// Tests of what removes the jobs of a queue that are not kept any more, apart from Redis.
import { expect, it, onTestFinished } from 'vitest';

import type { Holding } from '../../../src/jobs/admission.js';
import { Cleaner, type Cleaned } from '../../../src/jobs/queue/cleaner.js';
import type { Holdings } from '../../../src/jobs/queue/holdings.js';
import type { JobState } from '../../../src/jobs/store.js';
import { jobOf } from '../job-of.js';

/** A cleaner of jobs that ended one after the other, which keeps none, and what it was told. */
function cleaner(states: JobState[], isRemoved: (id: string) => boolean = () => true) {
  const calls: [call: string, id: string, others?: string[]][] = [];
  const held: Holding[] = [];
  const holdings: Partial<Holdings> = {
    all: () => Promise.resolve(held),
    adopt: (found: Holding) => {
      calls.push(['adopt', found.id]);
      return Promise.resolve();
    },
    update: (found: Holding) => {
      calls.push(['update', found.id]);
      return Promise.resolve();
    },
  };
  let failures = 0;
  const jobs: Cleaned = {
    list: () =>
      failures-- > 0
        ? Promise.reject(new Error('gone'))
        : Promise.resolve(states.map((state, i) => ({ state, endedAt: i + 1 }))),
    remove: (id, others) => {
      calls.push(['remove', id, others.map((job) => job.id)]);
      return Promise.resolve(isRemoved(id));
    },
  };
  const made = new Cleaner(holdings as Holdings, jobs, { keep: 0 });
  onTestFinished(() => made.close());
  return {
    made,
    calls,
    held,
    fail: (times: number) => {
      failures = times;
    },
  };
}

const done = (id: string): JobState => ({ job: jobOf({ id }), state: 'done', doneChunks: 1, failures: [] });

it('removes the oldest first, each beside those that are left', async () => {
  const { made, calls } = cleaner([done('a'), done('b'), done('c')], (id) => id !== 'b');
  await made.clean();
  expect(calls.filter(([call]) => call === 'remove')).toEqual([
    ['remove', 'a', ['a', 'b', 'c']],
    ['remove', 'b', ['b', 'c']],
    ['remove', 'c', ['b', 'c']],
  ]);
});

it('enters what is missing, and corrects what says otherwise whether a job is over', async () => {
  const running: JobState = { ...done('running'), state: 'running' };
  const { made, calls, held } = cleaner([running, done('missing'), done('behind'), done('right')]);
  const entry = { tenant: 'me', weight: 1, samples: 1, bytes: 1, canGo: false, changedAt: 1 };
  held.push({ ...entry, id: 'running', isOver: false });
  held.push({ ...entry, id: 'behind', isOver: false });
  held.push({ ...entry, id: 'right', isOver: true });
  await made.clean();
  expect(calls.filter(([call]) => call !== 'remove')).toEqual([
    ['adopt', 'missing'],
    ['update', 'behind'],
  ]);
  // What is entered rightly says itself whether it can go.
  expect(calls.filter(([call]) => call === 'remove').map(([, id]) => id)).toEqual(['missing', 'behind']);
});

it('cleans again after a time at which the jobs could not be listed, and before it is closed', async () => {
  const { made, calls, fail } = cleaner([done('a')]);
  fail(1);
  await made.clean();
  expect(calls).toEqual([]);
  void made.clean();
  await made.close();
  expect(calls.map(([call]) => call)).toEqual(['adopt', 'remove']);
});
