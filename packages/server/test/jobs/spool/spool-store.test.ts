// Tests of jobs in a folder.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { ATTEMPTS } from '../../../src/jobs/failure.js';
import { listJobs } from '../../../src/jobs/places/admin.js';
import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import type { DrawChunk, JobStore } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';
import { describeStore } from '../store-suite.js';

const keep = 60_000;
/** What a spool has beside its jobs. */
const own = ['reserve', 'server.lock'];

/** A store that passes all calls on to the one that is open now. */
class SpoolHarness {
  #store: SpoolStore;
  readonly folder: string;

  private constructor(folder: string, store: SpoolStore) {
    this.folder = folder;
    this.#store = store;
  }

  static async open(): Promise<SpoolHarness> {
    const folder = await mkdtemp(join(tmpdir(), 'spool-'));
    return new SpoolHarness(folder, await SpoolStore.open(folder, { keep }));
  }

  get store(): JobStore {
    return this.#store;
  }

  async stop(): Promise<void> {
    await this.#store.close();
  }

  async start(draw: DrawChunk): Promise<void> {
    await this.#store.close();
    const roomFor = ({ engine }: { engine: string }): number => (engine === 'cpu-test' ? 2 : 0);
    this.#store = await SpoolStore.open(this.folder, { keep, draw, roomFor, backoff: 20 });
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

describeStore('a spool', () => SpoolHarness.open());

describe('the folder of a spool', () => {
  let folder: string;
  let store: SpoolStore | undefined;
  const open = async (options: Partial<SpoolOptions> = {}): Promise<SpoolStore> => {
    store = await SpoolStore.open(folder, { keep, ...options });
    return store;
  };
  const draw: DrawChunk = (_, chunk) => Promise.resolve(Buffer.from(`chunk ${chunk}`));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spool-'));
  });
  afterEach(async () => {
    await store?.close();
    await rm(folder, { recursive: true });
  });

  /** Writes a file as a chunk is written, with its digest. */
  const writeChunk = async (id: string, file: string, text: string): Promise<void> => {
    await writeFile(join(folder, id, file), text);
    const sum = createHash('sha256').update(text).digest('hex');
    await appendFile(join(folder, id, 'SHA256SUMS'), `${sum}  ${file}\n`);
  };

  it('holds job.json and chunks, whole or not at all', async () => {
    await open({ draw, roomFor: () => 1 });
    const job = jobOf({ body: { model: 'm', count: 2, chunk: 1, seed: '1', format: 'png' } });
    await store!.add(job);
    await until(async () => (await store!.get(job.id))!.state === 'done');
    await store!.close();
    expect((await readdir(join(folder, job.id))).sort()).toEqual(['0.png', '1.png', 'SHA256SUMS', 'job.json']);
    expect(spawnSync('sha256sum', ['-c', 'SHA256SUMS'], { cwd: join(folder, job.id) }).status).toBe(0);
    expect(JSON.parse(await readFile(join(folder, job.id, 'job.json'), 'utf8'))).toEqual(job);
    expect(await readFile(join(folder, job.id, '1.png'), 'utf8')).toBe('chunk 1');
  });

  it('is rid of what a process that died was at', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await store!.close();
    await mkdir(join(folder, `${jobOf().id}.unfinished`));
    await mkdir(join(folder, `${jobOf().id}.gone`));
    await writeFile(join(folder, job.id, '0.npy.x.unfinished'), 'half');
    await writeFile(join(folder, 'notes.txt'), 'of somebody');
    await open();
    expect((await readdir(folder)).sort()).toEqual([job.id, ...own, 'notes.txt'].sort());
    expect(await readdir(join(folder, job.id))).toEqual(['job.json']);
    expect((await store!.get(job.id))!.doneChunks).toBe(0);
  });

  it('counts no file that is no chunk', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await store!.close();
    for (const name of ['3.npy', '0.png', '00.npy', '1.npy.bak', 'x.npy']) await writeChunk(job.id, name, '');
    await writeChunk(job.id, '2.npy', 'whole');
    await open();
    expect((await store!.get(job.id))!.doneChunks).toBe(1);
    expect(Buffer.from((await store!.chunk(job, 2))!).toString()).toBe('whole');
  });

  it('draws a chunk again whose digest was half-written, and reads the lines after that', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await store!.close();
    const sums = join(folder, job.id, 'SHA256SUMS');
    await writeChunk(job.id, '0.npy', 'first');
    await writeFile(join(folder, job.id, '1.npy'), 'second');
    await appendFile(sums, 'ab'.repeat(20));
    const drawn: number[] = [];
    const counting: DrawChunk = (given, chunk, signal) => {
      drawn.push(chunk);
      return draw(given, chunk, signal);
    };
    await open({ draw: counting, roomFor: () => 1 });
    await until(async () => (await store!.get(job.id))!.state === 'done');
    expect(drawn).toEqual([1, 2]);
    await store!.close();
    await open();
    expect((await store!.get(job.id))!.doneChunks).toBe(3);
    expect(Buffer.from((await store!.chunk(job, 0))!).toString()).toBe('first');
    expect(Buffer.from((await store!.chunk(job, 1))!).toString()).toBe('chunk 1');
  });

  it.each([
    ['shorter', (path: string) => truncate(path, 3)],
    ['changed', (path: string) => writeFile(path, 'chunk 9')],
    ['gone', (path: string) => rm(path)],
  ])('draws a chunk again whose file is %s', async (_, damage) => {
    let drawn = 0;
    const counting: DrawChunk = (given, chunk, signal) => {
      ++drawn;
      return draw(given, chunk, signal);
    };
    await open({ draw: counting, roomFor: () => 1 });
    const job = jobOf();
    await store!.add(job);
    await until(async () => (await store!.get(job.id))!.state === 'done');
    await damage(join(folder, job.id, '1.npy'));
    expect(await store!.chunk(job, 1)).toBeUndefined();
    await until(async () => (await store!.get(job.id))!.state === 'done');
    expect(Buffer.from((await store!.chunk(job, 1))!).toString()).toBe('chunk 1');
    expect(Buffer.from((await store!.chunk(job, 0))!).toString()).toBe('chunk 0');
    expect(drawn).toBe(4);
  });

  it('keeps failures, and forgets them when they are tried again', async () => {
    const options = { draw: () => Promise.reject(new Error('no')), roomFor: () => 3, backoff: 1 };
    await open(options);
    const job = jobOf();
    await store!.add(job);
    await until(async () => (await store!.get(job.id))!.state === 'failed');
    await store!.close();
    await open();
    expect((await store!.get(job.id))!.failures).toHaveLength(3);
    await store!.retry(job.id);
    expect(await readdir(join(folder, job.id))).toEqual(['job.json']);
    expect((await store!.get(job.id))!.state).toBe('queued');
  });

  it('believes no failure of a chunk that is there, or of none', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await store!.close();
    const failed = [2, 0, 3].map((chunk) => ({ chunk, code: 'ERR_DPM_INTERNAL', message: 'no' }));
    await writeFile(join(folder, job.id, 'failed.json'), JSON.stringify(failed));
    for (const chunk of [1, 2]) await writeChunk(job.id, `${chunk}.npy`, 'whole');
    await open();
    expect(await store!.get(job.id)).toMatchObject({ state: 'failed', doneChunks: 2, failures: [{ chunk: 0 }] });
  });

  it('tries a chunk as often as the first time when it is tried again', async () => {
    const begun: number[] = [];
    const failing: DrawChunk = (_, chunk) => {
      begun.push(chunk);
      return Promise.reject(new Error('no'));
    };
    await open({ draw: failing, roomFor: () => 1, backoff: 1 });
    const job = jobOf();
    await store!.add(job);
    const failed = async (): Promise<boolean> => (await store!.get(job.id))!.state === 'failed';
    await until(failed);
    const first = begun.length;
    expect(first).toBe(3 * ATTEMPTS);
    await store!.retry(job.id);
    await until(async () => begun.length > first && (await failed()));
    expect(begun.length).toBe(2 * first);
  });

  it.each([
    ['job.json', '{', /job\.json is no JSON/],
    ['job.json', '{}', /job\.json: id is missing/],
    ['job.json', JSON.stringify({ ...jobOf(), more: 1 }), /more is not a known field/],
    ['job.json', JSON.stringify(jobOf()), /its folder's name is another/],
    ['failed.json', '[{"chunk":-1}]', /failed\.json: /],
  ])('is refused with a wrong %s', async (file, contents, message) => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await store!.close();
    await writeFile(join(folder, job.id, file), contents);
    await expect(open()).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(message) as string,
    });
    // The store has released the folder.
    await rm(join(folder, job.id), { recursive: true });
    await open();
  });

  it('loses what is over and has not changed for long', async () => {
    await open({ draw, roomFor: ({ engine }) => (engine === 'cpu-test' ? 1 : 0) });
    const jobs = [jobOf(), jobOf(), jobOf({ engine: 'other' })] as const;
    for (const job of jobs) await store!.add(job);
    for (const job of jobs.slice(0, 2)) await until(async () => (await store!.get(job.id))!.state === 'done');
    await store!.close();
    const old = new Date(Date.now() - 2 * keep);
    for (const job of [jobs[0], jobs[2]]) await utimes(join(folder, job.id), old, old);
    await open();
    expect(await store!.get(jobs[0].id)).toBeUndefined();
    expect((await store!.get(jobs[1].id))!.state).toBe('done');
    expect((await store!.get(jobs[2].id))!.state).toBe('queued');
  });

  it('keeps a job from its last change on', async () => {
    const hour = 3_600_000;
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const slow: DrawChunk = async (...given) => {
      await released;
      return draw(...given);
    };
    await open({ keep: 3 * hour, draw: slow, roomFor: () => 3 });
    const job = jobOf();
    await store!.add(job);
    vi.setSystemTime(Date.now() + 3.5 * hour);
    release();
    await until(async () => (await store!.get(job.id))!.state === 'done');
    vi.advanceTimersByTime(hour);
    // Adding waits for those that are removed at that time.
    await store!.add(job);
    expect((await store!.get(job.id))!.state).toBe('done');
  });

  it('takes no more jobs than can be listed', async () => {
    await open({ mostJobs: 2 });
    const overloaded = { code: 'ERR_DPM_OVERLOADED', retryAfterMs: 60_000 };
    const taken = await Promise.allSettled([1, 2, 3].map(() => store!.add(jobOf())));
    expect(taken.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(taken[2]).toMatchObject({ reason: overloaded });
    await expect(store!.add(jobOf())).rejects.toMatchObject(overloaded);
    expect((await readdir(folder)).filter((name) => !own.includes(name))).toHaveLength(2);
  });

  it('keeps a job that could not be cancelled', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    await rename(join(folder, job.id), join(folder, 'elsewhere'));
    await expect(store!.cancel(job.id)).rejects.toMatchObject({ code: 'ENOENT' });
    await rename(join(folder, 'elsewhere'), join(folder, job.id));
    expect((await store!.get(job.id))!.state).toBe('queued');
    await store!.cancel(job.id);
    expect((await store!.get(job.id))!.state).toBe('cancelled');
  });

  it('blames nobody for what a cancelled chunk fails with', async () => {
    const told: unknown[] = [];
    const begun: number[] = [];
    await open({
      roomFor: () => 1,
      onFailure: (...failure) => told.push(failure),
      draw: (_, chunk, signal) =>
        new Promise((_resolve, reject) => {
          begun.push(chunk);
          signal.addEventListener('abort', () => {
            reject(new Error('broken off'));
          });
        }),
    });
    const job = jobOf();
    await store!.add(job);
    await until(() => begun.length === 1);
    await store!.cancel(job.id);
    await store!.close();
    expect(told).toEqual([]);
    expect(await store!.get(job.id)).toMatchObject({ state: 'cancelled', failures: [] });
  });

  it('has no timer of a reader who has left', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const left = new AbortController();
    const waiting = [left.signal, new AbortController().signal].map((signal) => store!.changed(job.id, signal));
    expect(vi.getTimerCount()).toBe(2);
    left.abort();
    await waiting[0];
    expect(vi.getTimerCount()).toBe(1);
    store!.pause();
    await waiting[1];
    expect(vi.getTimerCount()).toBe(0);
  });

  it('removes no job while its end is being written', async () => {
    await open();
    const job = jobOf();
    await store!.add(job);
    const cancelled = store!.cancel(job.id);
    expect(await store!.purge()).toBe(0);
    await cancelled;
    expect(await store!.purge()).toBe(1);
  });

  it('waits twice as long before every further try', async () => {
    const begun: number[] = [];
    const failing: DrawChunk = () => {
      begun.push(performance.now());
      return Promise.reject(new Error('no'));
    };
    await open({ draw: failing, roomFor: () => 1, backoff: 60 });
    const job = jobOf({ body: { model: 'm', count: 1, seed: '1' } });
    await store!.add(job);
    await until(async () => (await store!.get(job.id))!.state === 'failed');
    // Timers may be a millisecond early.
    const waits = begun.slice(1).map((time, i) => (time - begun[i]! + 2) / 60);
    expect(waits).toHaveLength(ATTEMPTS - 1);
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(2 ** i);
  });

  it('asks for the room of each size of chunks', async () => {
    await open({ draw, roomFor: ({ body }) => (body.chunk === 1 ? 1 : 0) });
    const [large, small] = [4, 1].map((chunk) => jobOf({ body: { model: 'm', count: 2, chunk, seed: '1' } }));
    for (const job of [large!, small!]) await store!.add(job);
    await until(async () => (await store!.get(small!.id))!.state === 'done');
    expect((await store!.get(large!.id))!.state).toBe('queued');
  });

  it('is listed beside its server, the newest first', async () => {
    await open();
    const jobs = [2, 3, 1].map((second) => jobOf({ createdAt: new Date(second * 1000).toISOString() }));
    for (const job of jobs) await store!.add(job);
    const listed = await listJobs({ spool: folder });
    expect(listed.map(({ id }) => id)).toEqual([jobs[1]!.id, jobs[0]!.id, jobs[2]!.id]);
  });

  it('waits for a model that comes later', async () => {
    let room = 0;
    await open({ draw, roomFor: () => room });
    const job = jobOf();
    await store!.add(job);
    expect((await store!.get(job.id))!.state).toBe('queued');
    room = 1;
    store!.wake();
    await until(async () => (await store!.get(job.id))!.state === 'done');
  });

  it('takes no chunk once it is to end', async () => {
    const begun: number[] = [];
    await open({
      roomFor: () => 1,
      draw: async (_, chunk) => {
        begun.push(chunk);
        await new Promise((resolve) => setTimeout(resolve, 50));
        return Buffer.from('x');
      },
    });
    const job = jobOf();
    await store!.add(job);
    store!.pause();
    await until(async () => (await store!.get(job.id))!.doneChunks === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(begun).toEqual([0]);
  });

  it('is made with the folders that it lies in, and refused where a system makes none', async () => {
    await open();
    await store!.close();
    store = await SpoolStore.open(join(folder, 'a', 'b'), { keep });
    expect(await readdir(join(folder, 'a'))).toEqual(['b']);
    expect((await stat(join(folder, 'a', 'b'))).mode & 0o777).toBe(0o700);
    const nowhere = SpoolStore.open('/proc/nowhere/a', { keep });
    if (process.platform === 'linux') await expect(nowhere).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    else await nowhere.catch(() => undefined);
  });

  it('cannot be a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(SpoolStore.open(file, { keep })).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});
