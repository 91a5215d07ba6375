// Tests of how long, and for how many bytes, a spool keeps jobs, by a clock that the tests set.
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { bytesOf } from '../../../src/jobs/admission.js';
import type { Job } from '../../../src/jobs/job.js';
import { SpoolFiles } from '../../../src/jobs/spool/spool-files.js';
import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';

const hour = 3_600_000;
let folder: string;
let store: SpoolStore;
const open = async (options: Partial<SpoolOptions>): Promise<void> => {
  const drawing = { draw: () => Promise.resolve(Buffer.from('x')), roomFor: () => 2 };
  store = await SpoolStore.open(folder, { keep: 3 * hour, ...drawing, ...options });
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'));
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await store.close();
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

const done = async (): Promise<Job> => {
  const job = jobOf();
  await store.add(job);
  await until(async () => (await store.get(job.id))!.state === 'done');
  return job;
};
const kept = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.length === 36).sort();

it('removes what is too old at its next look, with its files', async () => {
  await open({});
  const old = await done();
  vi.advanceTimersByTime(2 * hour);
  const young = await done();
  vi.advanceTimersByTime(hour);
  await store.clean();
  expect(await kept()).toEqual([old.id, young.id].sort());
  vi.advanceTimersByTime(hour);
  await until(async () => (await kept()).length === 1);
  expect(await kept()).toEqual([young.id]);
  expect(await store.get(old.id)).toBeUndefined();
});

it('removes the oldest beyond its bytes when it starts with fewer', async () => {
  await open({});
  const jobs: Job[] = [];
  for (let i = 0; i < 3; ++i) {
    jobs.push(await done());
    vi.advanceTimersByTime(1000);
  }
  const waiting = jobOf();
  await store.close();
  await open({ keepBytes: 3 * bytesOf(waiting) });
  expect(await kept()).toHaveLength(3);
  await store.close();
  await open({ keepBytes: 3 * bytesOf(waiting) - 1 });
  expect(await kept()).toHaveLength(2);
  expect(await store.get(jobs[0]!.id)).toBeUndefined();
});

it('tries again what could not be removed, and tells of it once', async () => {
  const troubles: unknown[] = [];
  await open({ keep: hour, onTrouble: (error) => troubles.push(error) });
  const [first, second] = [await done(), await done()];
  vi.advanceTimersByTime(2 * hour);
  await store.clean();
  expect(await kept()).toEqual([]);
  const [stuck, other] = [await done(), await done()];
  const files = new SpoolFiles(folder);
  const remove = files.remove.bind(files);
  const failing = vi
    .spyOn(SpoolFiles.prototype, 'remove')
    .mockImplementation((entry) => (entry.job.id === stuck.id ? Promise.reject(new Error('busy')) : remove(entry)));
  vi.advanceTimersByTime(2 * hour);
  await store.clean();
  await store.clean();
  expect(await kept()).toEqual([stuck.id]);
  expect(await store.get(stuck.id)).toBeDefined();
  expect(troubles).toEqual([new Error('busy')]);
  failing.mockRestore();
  await store.clean();
  expect(await kept()).toEqual([]);
  expect(new Set([first, second, stuck, other].map(({ id }) => id)).size).toBe(4);
});

it('removes later what remained of a removed job', async () => {
  await open({});
  const { id } = await done();
  await store.close();
  await open({});
  const rest = `${id.replace(/^./, 'f')}.11111111-1111-4111-8111-111111111111.gone`;
  await mkdir(join(folder, rest, 'deep'), { recursive: true });
  await store.clean();
  expect(await readdir(folder)).not.toContain(rest);
  expect(await kept()).toEqual([id]);
});
