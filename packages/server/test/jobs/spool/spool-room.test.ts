// Tests of a full spool, and of turns among the tenants of one.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { bytesOf } from '../../../src/jobs/admission.js';
import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import type { Job } from '../../../src/jobs/job.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';

let folder: string;
let store: SpoolStore;
const open = async (options: Partial<SpoolOptions>): Promise<void> => {
  store = await SpoolStore.open(folder, { keep: 60_000, ...options });
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'));
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

/** Draws at once for the class of engines of the tests. */
const drawing: Partial<SpoolOptions> = {
  draw: () => Promise.resolve(Buffer.from('x')),
  roomFor: ({ engine }) => (engine === 'cpu-test' ? 2 : 0),
};

const done = async (job: Job): Promise<Job> => {
  await store.add(job);
  await until(async () => (await store.get(job.id))!.state === 'done');
  return job;
};
const listed = async (): Promise<string[]> => (await store.list({ limit: 99 })).data.map(({ job }) => job.id).sort();
const ids = (...jobs: Job[]): string[] => jobs.map(({ id }) => id).sort();

it('a full spool lets the oldest job go that is over, with its files, also after a restart', async () => {
  await open({ mostJobs: 3, ...drawing });
  const waiting = jobOf({ engine: 'other' });
  await store.add(waiting);
  const first = await done(jobOf());
  const second = await done(jobOf());
  const third = await done(jobOf());
  expect(await listed()).toEqual(ids(waiting, second, third));
  expect(await store.chunk(first, 0)).toBeUndefined();
  expect(await readdir(folder)).not.toContain(first.id);
  await store.close();
  await open({ mostJobs: 3, ...drawing });
  const more = [jobOf({ engine: 'other' }), jobOf({ engine: 'other' })];
  await Promise.all(more.map((job) => store.add(job)));
  expect(await listed()).toEqual(ids(waiting, ...more));
  await expect(store.add(jobOf())).rejects.toMatchObject({ code: 'ERR_DPM_OVERLOADED' });
});

it('jobs that come together each find room of their own', async () => {
  await open({ mostJobs: 3, ...drawing });
  for (let i = 0; i < 3; ++i) await done(jobOf());
  const more = Array.from({ length: 5 }, () => jobOf({ engine: 'other' }));
  const taken = await Promise.allSettled(more.map((job) => store.add(job)));
  expect(taken.map(({ status }) => status === 'fulfilled')).toEqual([true, true, true, false, false]);
  expect(await listed()).toEqual(ids(...more.slice(0, 3)));
});

it('a spool full of bytes lets jobs go, too, and refuses what would need those that are not over', async () => {
  await open({ keepBytes: 2 * bytesOf(jobOf()), ...drawing });
  const first = await done(jobOf());
  const second = await done(jobOf());
  const waiting = jobOf({ engine: 'other' });
  await store.add(waiting);
  expect(await listed()).toEqual(ids(second, waiting));
  await store.add(jobOf({ engine: 'other' }));
  await expect(store.add(jobOf({ engine: 'other' }))).rejects.toMatchObject({ code: 'ERR_DPM_STORAGE', status: 507 });
  expect(await store.get(first.id)).toBeUndefined();
});

it('keeps a cancelled job of which a chunk is still being drawn', async () => {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  await open({ mostJobs: 1, roomFor: () => 1, draw: () => ended.then(() => Buffer.from('x')) });
  const job = jobOf();
  await store.add(job);
  await store.cancel(job.id);
  await expect(store.add(jobOf())).rejects.toMatchObject({ code: 'ERR_DPM_OVERLOADED' });
  end();
  const next = jobOf({ engine: 'other' });
  await until(() =>
    store.add(next).then(
      () => true,
      () => false,
    ),
  );
  expect(await listed()).toEqual([next.id]);
});

it('tells how long the next job of the tenant takes', async () => {
  await open({ secondsLeft: ({ job }) => (job.tenant === 'own' ? Number(job.body.seed) : 1) });
  const quota = { unfinishedJobs: 2, unfinishedSamples: Infinity, resultBytes: Infinity };
  const seeded = (seed: string, tenant = 'own') => jobOf({ tenant, body: { model: 'm', count: 1, seed } });
  for (const job of [seeded('30'), seeded('20'), seeded('1', 'other')]) await store.add(job, quota);
  await expect(store.add(seeded('1'), quota)).rejects.toMatchObject({ headers: { 'retry-after': '20' } });
});

it('draws for a tenant with one job beside one with many', async () => {
  const drawn: string[] = [];
  await open({});
  const body = { model: 'm', count: 4, chunk: 1, seed: '1' };
  for (let i = 0; i < 50; ++i) await store.add(jobOf({ tenant: 'many', body }));
  const later = new Date(Date.now() + 60_000).toISOString();
  await store.add(jobOf({ tenant: 'one', body, createdAt: later }));
  await store.close();
  await open({
    roomFor: () => 1,
    draw: ({ tenant }) => {
      drawn.push(tenant);
      return Promise.resolve(Buffer.from('x'));
    },
  });
  await until(() => Promise.resolve(drawn.length >= 8));
  expect(drawn.slice(0, 8).filter((tenant) => tenant === 'one')).toHaveLength(4);
});
