// Tests of what a store takes in, and of which jobs go for it.
import { describe, expect, it } from 'vitest';

import { unlimited, type Quota } from '../../src/base/client.js';
import { admitted, bytesOf, holdingOf, leastSeconds, type Capacity, type Holding } from '../../src/jobs/admission.js';
import type { JobState } from '../../src/jobs/store.js';
import { jobOf } from './job-of.js';

const holding = (id: string, tenant: string, more: Partial<Holding> = {}): Holding => ({
  id,
  tenant,
  weight: 1,
  samples: 10,
  bytes: 100,
  isOver: false,
  canGo: more.isOver ?? false,
  changedAt: 0,
  ...more,
});
const over = (id: string, tenant: string, changedAt: number, more: Partial<Holding> = {}): Holding =>
  holding(id, tenant, { isOver: true, changedAt, ...more });

interface Given {
  held?: Holding[];
  quota?: Partial<Quota>;
  capacity?: Partial<Capacity>;
  seconds?: number;
}

/** The ids of jobs that go for one of a tenant. */
function goneFor(newcomer: Holding, { held = [], quota = {}, capacity = {}, seconds }: Given): string[] {
  return admitted({
    newcomer,
    held,
    quota: { ...unlimited, ...quota },
    capacity: { jobs: Infinity, bytes: Infinity, ...capacity },
    secondsLeft: () => seconds,
  }).map(({ id }) => id);
}

describe('bytes of a job', () => {
  const header = 128;
  it.each([
    [{ model: 'm', count: 10, chunk: 4 }, 10 * 4 + 3 * header],
    [{ model: 'm', count: 10, chunk: 4, dtype: 'f32' as const }, 10 * 16 + 3 * header],
    [{ model: 'm', count: 10, chunk: 4, dtype: 'f32' as const, format: 'png' as const }, 10 * 4 + 3 * header],
  ])('are those of its samples, and of headers', (body, expected) => {
    expect(bytesOf(jobOf({ body }))).toBe(expected);
  });

  it('count what was drawn once it is over, and all before', () => {
    const job = jobOf();
    expect(holdingOf({ job, state: 'running', doneChunks: 1 }, 5)).toMatchObject({ bytes: 424, isOver: false });
    expect(holdingOf({ job, state: 'cancelled', doneChunks: 1 }, 5)).toEqual({
      id: job.id,
      tenant: '',
      weight: 1,
      samples: 10,
      bytes: 142,
      isOver: true,
      canGo: true,
      changedAt: 5,
    });
  });
});

describe('a quota', () => {
  const two = [holding('a', 'own'), holding('b', 'own')];
  it.each<[keyof Quota, number, number, RegExp]>([
    ['unfinishedJobs', 3, 429, /^quota unfinishedJobs is 2 jobs that are not over, there are 2$/],
    ['unfinishedSamples', 30, 429, /^quota unfinishedSamples is 29 samples of jobs that are not over, there are 20$/],
    ['resultBytes', 300, 507, /^quota resultBytes is 299 bytes of samples of jobs, there are 200$/],
  ])('of %s lets in what it says, and no more', (name, most, status, message) => {
    expect(goneFor(holding('c', 'own'), { held: two, quota: { [name]: most } })).toEqual([]);
    const refused = (): unknown =>
      goneFor(holding('c', 'own'), { held: two, quota: { [name]: most - 1 }, seconds: 12.3 });
    expect(refused).toThrow(
      expect.objectContaining({
        code: 'ERR_DPM_QUOTA',
        status,
        headers: { 'retry-after': '13' },
        message: expect.stringMatching(message) as string,
      }),
    );
    // What others hold, and of jobs and samples what is over, does not count.
    const others = [holding('a', 'x'), holding('b', 'y'), ...(name === 'resultBytes' ? [] : [over('d', 'own', 1)])];
    expect(goneFor(holding('c', 'own'), { held: others, quota: { [name]: most - 1 } })).toEqual([]);
  });

  it.each<keyof Quota>(['unfinishedJobs', 'unfinishedSamples', 'resultBytes'])(
    'of %s that a job alone exceeds names no time to wait',
    (name) => {
      expect(() => goneFor(holding('c', 'own'), { quota: { [name]: 0 } })).toThrow(
        expect.objectContaining({ code: 'ERR_DPM_QUOTA', status: 422, headers: {} }),
      );
    },
  );

  it.each([
    [undefined, '60'],
    [0, '1'],
    [1e9, '3600'],
  ])('tells when there may be room (%s s: %s)', (seconds, told) => {
    const refused = (): unknown =>
      goneFor(holding('c', 'own'), {
        held: two,
        quota: { unfinishedJobs: 2 },
        ...(seconds !== undefined && { seconds }),
      });
    expect(refused).toThrow(expect.objectContaining({ headers: { 'retry-after': told } }));
  });

  it('of bytes lets the oldest jobs of its tenant go that are over', () => {
    const held = [over('new', 'own', 3), over('old', 'own', 1), over('mid', 'own', 2), over('other', 'x', 0), ...two];
    const quota = (resultBytes: number) => ({ held, quota: { resultBytes } });
    expect(goneFor(holding('c', 'own'), quota(600))).toEqual([]);
    expect(goneFor(holding('c', 'own'), quota(599))).toEqual(['old']);
    expect(goneFor(holding('c', 'own'), quota(300))).toEqual(['old', 'mid', 'new']);
    expect(() => goneFor(holding('c', 'own'), quota(299))).toThrow(/^quota resultBytes is 299/);
  });
});

describe('a full store', () => {
  it('lets the oldest job go that is over, never one that is not', () => {
    const held = [holding('running', 'own'), over('new', 'own', 3), over('old', 'own', 2)];
    expect(goneFor(holding('c', 'own'), { held, capacity: { jobs: 4 } })).toEqual([]);
    expect(goneFor(holding('c', 'own'), { held, capacity: { jobs: 3 } })).toEqual(['old']);
    expect(goneFor(holding('c', 'own'), { held, capacity: { jobs: 2 } })).toEqual(['old', 'new']);
    expect(() => goneFor(holding('c', 'own'), { held, capacity: { jobs: 1 } })).toThrow(
      expect.objectContaining({
        code: 'ERR_DPM_OVERLOADED',
        retryAfterMs: 60_000,
        message: 'there is room for 1 jobs',
      }),
    );
  });

  it('keeps jobs of which something is still being written', () => {
    const held = [over('busy', 'own', 1, { canGo: false }), over('idle', 'own', 2)];
    expect(goneFor(holding('c', 'own'), { held, capacity: { jobs: 2 } })).toEqual(['idle']);
  });

  it('makes room for bytes, too', () => {
    const held = [over('large', 'own', 1, { bytes: 900 }), over('small', 'own', 2), holding('running', 'own')];
    expect(goneFor(holding('c', 'own'), { held, capacity: { bytes: 1200 } })).toEqual([]);
    expect(goneFor(holding('c', 'own'), { held, capacity: { bytes: 1199 } })).toEqual(['large']);
    expect(goneFor(holding('c', 'own'), { held, capacity: { bytes: 200 } })).toEqual(['large', 'small']);
    expect(() => goneFor(holding('c', 'own'), { held, capacity: { bytes: 199 }, seconds: 5 })).toThrow(
      expect.objectContaining({
        code: 'ERR_DPM_STORAGE',
        status: 507,
        headers: { 'retry-after': '5' },
        message: expect.stringMatching(/^keepBytes is 199/) as string,
      }),
    );
  });

  const many = (tenant: string, count: number, isOver = true, more: Partial<Holding> = {}): Holding[] =>
    Array.from({ length: count }, (_, i) => holding(`${tenant}${i}`, tenant, { isOver, changedAt: i, ...more }));

  it('takes from who holds more than its share, not from who holds less', () => {
    const held = [...many('less', 2), ...many('more', 8)].map((each) => ({ ...each, changedAt: each.changedAt + 1 }));
    // The jobs of the one with less are as old; it holds less than a third.
    expect(goneFor(holding('c', 'new'), { held, capacity: { jobs: 10 } })).toEqual(['more0']);
    expect(goneFor(holding('c', 'more'), { held, capacity: { jobs: 10 } })).toEqual(['more0']);
    expect(goneFor(holding('c', 'less'), { held, capacity: { jobs: 10 } })).toEqual(['more0']);
  });

  it('refuses whoever holds more than its share in jobs that are not over', () => {
    const held = [...many('less', 2), ...many('more', 8, false)];
    expect(() => goneFor(holding('c', 'more'), { held, capacity: { jobs: 10 } })).toThrow('there is room for 10 jobs');
    // Others get their share, whosever oldest job goes for it.
    expect(goneFor(holding('c', 'new'), { held, capacity: { jobs: 10 } })).toEqual(['less0']);
  });

  it('has shares by weight, of bytes as well', () => {
    const held = [...many('light', 5), ...many('heavy', 5, true, { weight: 3 })];
    expect(goneFor(holding('c', 'heavy', { weight: 3 }), { held, capacity: { jobs: 10 } })).toEqual(['light0']);
    expect(goneFor(holding('c', 'light'), { held, capacity: { jobs: 10 } })).toEqual(['light0']);
    const sized = [...many('many', 6, true, { bytes: 10 }), ...many('large', 3, true, { bytes: 300 })];
    expect(goneFor(holding('c', 'many'), { held: sized, capacity: { bytes: 1000 } })).toEqual(['large0']);
  });
});

it('the next job to be over is the one with the least left', () => {
  const states = [3, undefined, 2].map((rows) => ({ job: jobOf({ rows: rows ?? 0 }) }) as JobState);
  const left = ({ job }: JobState): number | undefined => (job.rows === 0 ? undefined : job.rows);
  expect(leastSeconds(states, left)).toBe(2);
  expect(leastSeconds(states, undefined)).toBeUndefined();
  expect(leastSeconds([], left)).toBeUndefined();
});
