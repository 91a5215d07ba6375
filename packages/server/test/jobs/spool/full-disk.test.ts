// Tests of a spool whose disk is full.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { onceThereIsRoom } from '../../../src/jobs/files/full-disk.js';
import { SpoolFiles } from '../../../src/jobs/spool/spool-files.js';
import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';

const keep = 60_000;
const full = (code: string): Error => Object.assign(new Error('no space left on device'), { code });

let folder: string;
const open: SpoolStore[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(open.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true });
});

async function opened(options: Partial<SpoolOptions> = {}, place = folder): Promise<SpoolStore> {
  const store = await SpoolStore.open(place, { keep, backoff: 10, ...options });
  open.push(store);
  return store;
}

/** Draws chunks of a size at once, and counts them. */
function counted(size: number): { drawn: () => number; options: Partial<SpoolOptions>; troubles: unknown[] } {
  let drawn = 0;
  const troubles: unknown[] = [];
  const draw = (): Promise<Uint8Array> => Promise.resolve(Buffer.alloc(size, ++drawn));
  return {
    drawn: () => drawn,
    options: { draw, roomFor: () => 1, onTrouble: (error) => troubles.push(error) },
    troubles,
  };
}

it.each(['ENOSPC', 'EDQUOT'])('refuses what it cannot write (%s)', async (code) => {
  const store = await opened();
  const job = jobOf();
  await store.add(job);
  for (const name of ['add', 'cancel'] as const) {
    vi.spyOn(SpoolFiles.prototype, name).mockRejectedValue(full(code));
  }
  const insufficient = { code: 'ERR_DPM_STORAGE', status: 507, headers: { 'retry-after': '60' } };
  await expect(store.add(jobOf())).rejects.toMatchObject(insufficient);
  await expect(store.cancel(job.id)).rejects.toMatchObject(insufficient);
  expect((await store.get(job.id))!.state).toBe('queued');
});

it('keeps what was drawn until there is room, and draws nothing else meanwhile', async () => {
  const { drawn, options, troubles } = counted(4);
  const addChunk = vi.spyOn(SpoolFiles.prototype, 'addChunk').mockRejectedValue(full('ENOSPC'));
  const store = await opened(options);
  const job = jobOf({ body: { model: 'm', count: 3, chunk: 1, seed: '1' } });
  await store.add(job);
  await until(() => Promise.resolve(troubles.length > 3));
  expect(drawn()).toBe(1);
  expect((await store.get(job.id))!.failures).toEqual([]);
  addChunk.mockRestore();
  await until(async () => (await store.get(job.id))!.state === 'done');
  expect(drawn()).toBe(3);
  expect(Buffer.from((await store.chunk(job, 0))!)).toEqual(Buffer.alloc(4, 1));
});

it('ends while it waits for room', async () => {
  const { options, troubles } = counted(4);
  vi.spyOn(SpoolFiles.prototype, 'addChunk').mockRejectedValue(full('ENOSPC'));
  const store = await opened({ ...options, backoff: 60_000 });
  await store.add(jobOf());
  await until(() => Promise.resolve(troubles.length > 0));
  await store.close();
  expect(await readdir(folder)).not.toContain('server.lock');
});

it('waits longer each time, and passes other errors on', async () => {
  const times: number[] = [];
  const write = (): Promise<never> => {
    times.push(performance.now());
    return Promise.reject(times.length < 4 ? full('ENOSPC') : full('EIO'));
  };
  const { signal } = new AbortController();
  const onFull = vi.fn();
  await expect(onceThereIsRoom(write, { signal, pause: 20, onFull })).rejects.toMatchObject({ code: 'EIO' });
  expect(onFull).toHaveBeenCalledTimes(3);
  for (const [tries, pause] of [20, 40, 80].entries())
    expect(times[tries + 1]! - times[tries]!).toBeGreaterThan(0.9 * pause);
});

/** Mounts a small disk in memory, and tells whether that can be done here. */
function mount(place: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,nr_inodes=64', 'spool', place]).status === 0;
}

/** Leaves no room on the disk: neither for bytes nor for names. */
async function fill(place: string): Promise<string[]> {
  const made: string[] = [];
  for (let i = 0; ; ++i) {
    const path = join(place, `filling-${i}`);
    try {
      await writeFile(path, Buffer.alloc(i === 0 ? 4096 * 1024 : 0));
      made.push(path);
    } catch (error) {
      if (i === 0) made.push(path);
      else if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return made;
      else throw error;
    }
  }
}

describe('on a disk that is full', () => {
  let isMounted = false;
  beforeEach(() => {
    isMounted = mount(folder);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((store) => store.close()));
    if (isMounted) expect(spawnSync('umount', [folder]).status).toBe(0);
  });

  it('loses nothing, is opened again, and is purged', { timeout: 30_000 }, async ({ skip }) => {
    skip(!isMounted, 'skipped: no disk can be mounted');
    const { drawn, options, troubles } = counted(20_000);
    const first = await opened();
    const [done, waiting] = [jobOf(), jobOf({ body: { model: 'm', count: 1, chunk: 1, seed: '1' } })];
    await first.add(done);
    await first.cancel(done.id);
    await first.add(waiting);
    expect((await stat(join(folder, 'reserve'))).size).toBe(65_536);
    await first.close();
    const made = await fill(folder);
    const store = await opened(options);
    await until(() => Promise.resolve(troubles.length > 0));
    await expect(store.add(jobOf())).rejects.toMatchObject({ code: 'ERR_DPM_STORAGE' });
    expect(await store.purge()).toBe(1);
    expect((await readdir(folder)).sort().filter((name) => !name.startsWith('filling'))).toEqual(
      [waiting.id, 'server.lock'].sort(),
    );
    for (const path of made) await truncate(path);
    await until(async () => (await store.get(waiting.id))!.state === 'done');
    expect(drawn()).toBe(1);
  });
});
