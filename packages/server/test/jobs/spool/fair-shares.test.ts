// Tests of the order in which chunks of several tenants are drawn.
import { describe, expect, it } from 'vitest';

import type { Job } from '../../../src/jobs/job.js';
import { FairShares } from '../../../src/jobs/spool/fair-shares.js';
import { SpoolJob } from '../../../src/jobs/spool/spool-job.js';
import { jobOf } from '../job-of.js';

const entry = (tenant: string, age: number, fields: Partial<Job> = {}): SpoolJob =>
  new SpoolJob(jobOf({ tenant, createdAt: new Date(1e12 + age).toISOString(), ...fields }), 0);
const chunksOf = (count: number) => ({ model: 'm', count, chunk: 1, seed: '1' });

/** The tenants of chunks in the order in which they are drawn, `room` at a time. */
function drawnIn(shares: FairShares, jobs: readonly SpoolJob[], room: number, total: number): SpoolJob[] {
  const drawn: SpoolJob[] = [];
  while (drawn.length < total) {
    let left = room;
    const before = drawn.length;
    shares.takeAll(
      jobs.filter(({ isOver }) => !isOver),
      ({ next }) => left > 0 && next !== undefined,
      (taken) => {
        --left;
        taken.done.set(taken.next!, '');
        drawn.push(taken);
      },
    );
    if (drawn.length === before) break;
  }
  return drawn.slice(0, total);
}
const count = (drawn: readonly SpoolJob[], tenant: string): number =>
  drawn.filter(({ job }) => job.tenant === tenant).length;

describe('tenants of a spool', () => {
  it.each([1, 2, 7])('take turns, %i chunks at once, however many jobs each has', (room) => {
    const many = Array.from({ length: 1000 }, (_, i) => entry('many', i, { body: chunksOf(3), rows: 3 }));
    const one = entry('one', 5000, { body: chunksOf(4), rows: 4 });
    const drawn = drawnIn(new FairShares(), [...many, one], room, 8);
    expect(count(drawn, 'one')).toBe(4);
    // Within a tenant the oldest goes first.
    expect(drawn.filter(({ job }) => job.tenant === 'many').map((each) => many.indexOf(each))).toEqual([0, 0, 0, 1]);
  });

  it('are drawn for by their weights', () => {
    const heavy = entry('heavy', 1, { weight: 3, body: chunksOf(100), rows: 100 });
    const light = entry('light', 0, { body: chunksOf(100), rows: 100 });
    const drawn = drawnIn(new FairShares(), [heavy, light], 1, 40);
    expect([count(drawn, 'heavy'), count(drawn, 'light')]).toEqual([30, 10]);
  });

  it.each([
    ['rows', 10, 40],
    ['samples where rows are not known', 0, 0],
  ])('share the work, which is counted in %s', (_, rows, more) => {
    const cheap = entry('cheap', 1, { body: { ...chunksOf(10) }, rows });
    const dear = entry('dear', 0, { body: { ...chunksOf(40), chunk: 4 }, rows: more });
    const drawn = drawnIn(new FairShares(), [cheap, dear], 1, 10);
    expect([count(drawn, 'cheap'), count(drawn, 'dear')]).toEqual([8, 2]);
  });

  it('save no turns while they have nothing to draw', () => {
    const shares = new FairShares();
    drawnIn(shares, [entry('always', 0, { body: chunksOf(50), rows: 50 })], 1, 50);
    const jobs = ['always', 'late'].map((tenant) => entry(tenant, 1, { body: chunksOf(50), rows: 50 }));
    const drawn = drawnIn(shares, jobs, 1, 20);
    expect(count(drawn, 'late')).toBeLessThanOrEqual(11);
  });

  it('remember in the next call who was drawn for', () => {
    const shares = new FairShares();
    const jobs = ['a', 'b', 'c'].map((tenant) => entry(tenant, 0, { body: chunksOf(9), rows: 9 }));
    const drawn = drawnIn(shares, jobs, 1, 9);
    expect(['a', 'b', 'c'].map((tenant) => count(drawn, tenant))).toEqual([3, 3, 3]);
  });

  it('share each priority for itself, and each model', () => {
    const urgent = entry('a', 9, { body: { ...chunksOf(3), priority: 'high' }, rows: 3 });
    const other = entry('b', 0, { body: { ...chunksOf(3), priority: 'low' }, rows: 3 });
    expect(
      drawnIn(new FairShares(), [other, urgent], 1, 6)
        .map(({ job }) => job.tenant)
        .join(''),
    ).toBe('aaabbb');
    const shares = new FairShares();
    drawnIn(shares, [entry('a', 0, { engine: 'x', body: chunksOf(9), rows: 9 })], 1, 9);
    const jobs = ['b', 'a'].map((tenant) => entry(tenant, 0, { body: chunksOf(2), rows: 2 }));
    expect(count(drawnIn(shares, jobs, 1, 2), 'a')).toBe(1);
  });
});
