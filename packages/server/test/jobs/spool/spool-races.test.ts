// Tests of concurrent operations on the jobs of a folder, and of faulty files.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DpmError } from 'dpm-native';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';

import { SpoolFiles } from '../../../src/jobs/spool/spool-files.js';
import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';

const keep = 60_000;
/** What a spool has beside its jobs. */
const own = ['reserve', 'server.lock'];
const command = fileURLToPath(new URL('../../../../../dist/cli/main.js', import.meta.url));

let folder: string;
const open: SpoolStore[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true });
});

async function opened(options: Partial<SpoolOptions> = {}, place = folder): Promise<SpoolStore> {
  const store = await SpoolStore.open(place, { keep, ...options });
  open.push(store);
  return store;
}

const wrong: DrawChunk = () => Promise.reject(new DpmError('ERR_DPM_ARGUMENT', 'order is 9'));
const never: DrawChunk = (_, __, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new DpmError('ERR_DPM_ABORTED', 'aborted'));
    });
  });

it('does not forget a job that is tried again meanwhile', async () => {
  let draw = wrong;
  const store = await opened({ draw: (...given) => draw(...given), roomFor: () => 3 });
  const jobs = [jobOf(), jobOf()] as const;
  for (const job of jobs) {
    await store.add(job);
    await until(async () => (await store.get(job.id))!.state === 'failed');
    await until(async () => (await readdir(join(folder, job.id))).includes('failed.json'));
  }
  draw = never;
  const purged = store.purge();
  await store.retry(jobs[1].id);
  expect(await purged).toBe(1);
  expect((await store.get(jobs[1].id))!.state).toBe('running');
  expect((await readdir(folder)).sort()).toEqual([jobs[1].id, ...own].sort());
});

it('takes a job in again while the one before of its id goes', async () => {
  const store = await opened();
  const job = jobOf();
  await store.add(job);
  await store.cancel(job.id);
  const purged = store.purge();
  expect(await store.add(job)).toEqual(job);
  expect(await purged).toBe(1);
  expect((await store.get(job.id))!.state).toBe('queued');
  expect(await readdir(join(folder, job.id))).toEqual(['job.json']);
});

it('knows a job that could not be removed', async () => {
  const store = await opened();
  const job = jobOf();
  await store.add(job);
  await store.cancel(job.id);
  await rm(join(folder, job.id), { recursive: true });
  await expect(store.purge()).rejects.toThrow();
  expect((await store.get(job.id))!.state).toBe('cancelled');
  await mkdir(join(folder, job.id));
  expect(await store.purge()).toBe(1);
  expect(await store.get(job.id)).toBeUndefined();
});

it('goes on with a job whose end cannot be written', async () => {
  const store = await opened({ draw: never, roomFor: () => 1 });
  const job = jobOf();
  await store.add(job);
  await rm(join(folder, job.id), { recursive: true });
  await expect(store.cancel(job.id)).rejects.toThrow();
  expect((await store.get(job.id))!.state).toBe('running');
  // Only a whole job has a folder.
  expect(await readdir(folder)).toEqual(own);
});

it('leaves nothing of a job that cannot be written', async () => {
  const store = await opened();
  const job = jobOf();
  await mkdir(join(folder, job.id));
  await writeFile(join(folder, job.id, 'other'), '');
  await expect(store.add(job)).rejects.toThrow();
  expect((await readdir(folder)).sort()).toEqual([job.id, ...own].sort());
});

it('writes failures after some that could not be written', async () => {
  const keepFailures = vi.spyOn(SpoolFiles.prototype, 'keepFailures').mockRejectedValueOnce(new Error('full'));
  onTestFinished(() => {
    keepFailures.mockRestore();
  });
  const store = await opened({ draw: wrong, roomFor: () => 1 });
  const job = jobOf();
  await store.add(job);
  await until(async () => (await store.get(job.id))!.state === 'failed');
  await store.close();
  const [loaded] = await new SpoolFiles(folder).load();
  expect(loaded!.state.failures.map(({ chunk }) => chunk)).toEqual([0, 1, 2]);
});

it('begins no chunk of a job that is being ended', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const begun: number[] = [];
  const store = await opened({
    roomFor: () => 1,
    draw: async (_, chunk) => {
      begun.push(chunk);
      await released;
      return Buffer.from('x');
    },
  });
  const job = jobOf();
  await store.add(job);
  const cancelled = store.cancel(job.id);
  expect((await store.get(job.id))!.state).toBe('cancelled');
  release();
  await cancelled;
  await store.close();
  expect(begun).toEqual([0]);
});

it('lets go of its folder when all is written', async () => {
  const store = await opened();
  const [kept, ended, gone, late] = [jobOf(), jobOf(), jobOf(), jobOf()];
  await store.add(ended);
  await store.add(gone);
  await store.cancel(gone.id);
  const done = Promise.all([store.add(kept), store.cancel(ended.id), store.purge()]);
  await store.close();
  expect((await readdir(folder)).sort()).toEqual([kept.id, ended.id, 'reserve'].sort());
  expect((await readdir(join(folder, ended.id))).sort()).toEqual(['cancelled', 'job.json']);
  await done;
  const closed = { code: 'ERR_DPM_CLOSED' };
  for (const call of [
    () => store.add(late),
    () => store.cancel(kept.id),
    () => store.retry(kept.id),
    () => store.purge(),
  ]) {
    await expect(call()).rejects.toMatchObject(closed);
  }
  expect((await readdir(folder)).sort()).toEqual([kept.id, ended.id, 'reserve'].sort());
});

it('keeps thousands of jobs that wait without looking at each for each', async () => {
  let asked = 0;
  const store = await opened({
    draw: never,
    roomFor: () => {
      ++asked;
      return 1;
    },
  });
  const jobs = Array.from({ length: 300 }, () => jobOf());
  for (const job of jobs) await store.add(job);
  asked = 0;
  store.wake();
  expect(asked).toBe(1);
});

it('is one folder however it is spelled', async () => {
  await opened();
  const alias = `${folder}-alias`;
  await symlink(folder, alias);
  for (const other of [relative(process.cwd(), folder), alias]) {
    await expect(opened({}, other)).rejects.toThrow('is in use');
  }
  await rm(alias);
});

it('touches no file of others', async () => {
  const others = ['notes.gone', 'thesis.unfinished', 'lock.txt'];
  for (const name of others) await writeFile(join(folder, name), '');
  await opened();
  expect((await readdir(folder)).sort()).toEqual([...own, ...others].sort());
});

it('says which file it cannot read', async () => {
  const { id } = jobOf();
  await mkdir(join(folder, id));
  const error = (name: RegExp): object => ({
    code: 'ERR_DPM_FILE',
    message: expect.stringMatching(name) as string,
  });
  await expect(opened()).rejects.toMatchObject(error(/job\.json/));
  await rm(join(folder, id), { recursive: true });
  await writeFile(join(folder, id), '');
  await expect(opened()).rejects.toMatchObject(error(/ENOTDIR/));
  expect(await readdir(folder)).toEqual([id, 'reserve']);
});

it('is read while jobs go', async () => {
  const store = await opened();
  const jobs = Array.from({ length: 40 }, () => jobOf());
  for (const { id } of await Promise.all(jobs.map((job) => store.add(job)))) await store.cancel(id);
  const purged = store.purge();
  while ((await new SpoolFiles(folder).load()).length > 0);
  await purged;
});

it('has more jobs than a process may have files', async () => {
  const count = 700;
  for (let i = 0; i < count; ++i) {
    const job = jobOf();
    await mkdir(join(folder, job.id));
    await writeFile(join(folder, job.id, 'job.json'), JSON.stringify(job));
  }
  const script = 'ulimit -n 512 && exec "$0" "$@"';
  const args = ['-c', script, process.execPath, command, 'jobs', 'list', '--spool', folder, '--json'];
  const { stdout, stderr } = spawnSync('sh', args, { encoding: 'utf8', maxBuffer: 2 ** 24 });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toHaveLength(count);
  expect(await new SpoolFiles(folder).load()).toHaveLength(count);
});
