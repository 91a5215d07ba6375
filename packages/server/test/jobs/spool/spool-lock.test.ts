// Tests of who has a spool.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DpmError } from 'dpm-native';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';

import { SpoolStore, type SpoolOptions } from '../../../src/jobs/spool/spool-store.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { until } from '../../support.js';
import { jobOf } from '../job-of.js';

const keep = 60_000;
const built = new URL('../../../dist/jobs/spool/spool-store.js', import.meta.url).href;
/** Begins a process that cannot see this one's, as one of another container. */
const isolated = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0 ? ['unshare', '--pid', '--fork'] : [];

let folder: string;
let lock: string;
const open: SpoolStore[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spool-'));
  lock = join(folder, 'server.lock');
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.close()));
  await rm(folder, { recursive: true });
});

async function opened(options: Partial<SpoolOptions> = {}): Promise<SpoolStore> {
  const store = await SpoolStore.open(folder, { keep, ...options });
  open.push(store);
  return store;
}

const inUse = { code: 'ERR_DPM_CONFIG', message: expect.stringContaining('is in use by another server') as string };
const touch = (after = 0): Promise<void> => utimes(lock, new Date(), new Date(Date.now() + after));

/** A process that opens the spool and stays. */
async function opener(): Promise<ChildProcess> {
  const script = `import { SpoolStore } from '${built}';
    await SpoolStore.open(${JSON.stringify(folder)}, { keep: 1e6 });
    console.log('open');
    setInterval(() => {}, 1000);`;
  const [command, ...args] = [...isolated, process.execPath, '--input-type=module', '-e', script];
  // A group of its own ends with whatever has begun it.
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

it('is one server at a time', async () => {
  const store = await opened();
  await expect(opened()).rejects.toMatchObject({
    ...inUse,
    message: `the spool ${folder} is in use by another server`,
  });
  await store.close();
  await store.close();
  expect(await readdir(folder)).toEqual(['reserve']);
  await opened();
  await expect(opened()).rejects.toMatchObject(inUse);
});

it('knows a server whose process cannot be seen, and when that has died', { timeout: 30_000 }, async () => {
  const child = await opener();
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  });
  await expect(opened()).rejects.toMatchObject(inUse);
  process.kill(-child.pid!, 'SIGKILL');
  await once(child, 'exit');
  const began = performance.now();
  await opened();
  expect(performance.now() - began).toBeGreaterThan(2000);
});

it.each([
  ['long ago', -60_000, 0],
  ['by a clock that was fast', 3_600_000, 4900],
])('is free where the last sign of life was %s', { timeout: 20_000 }, async (_, after, least) => {
  await mkdir(lock);
  await touch(after);
  const began = performance.now();
  await opened();
  expect(performance.now() - began).toBeGreaterThanOrEqual(least);
});

it('is somebody else while there are signs of life, whatever their clock says', { timeout: 20_000 }, async () => {
  await mkdir(lock);
  let beats = 0;
  const beating = setInterval(() => void touch(3_600_000 + ++beats), 500);
  await touch(3_600_000);
  await expect(opened()).rejects.toMatchObject(inUse);
  clearInterval(beating);
});

it('gives signs of life', { timeout: 20_000 }, async () => {
  await opened();
  const { mtimeMs } = await stat(lock);
  await until(async () => (await stat(lock)).mtimeMs > mtimeMs + 2000);
});

it('is left to a server that has taken it', { timeout: 20_000 }, async () => {
  const troubles: unknown[] = [];
  let aborted = 0;
  const draw: DrawChunk = (_, __, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        ++aborted;
        reject(new DpmError('ERR_DPM_ABORTED', 'aborted'));
      });
    });
  const store = await opened({ draw, roomFor: () => 1, onTrouble: (error) => troubles.push(error) });
  const job = jobOf();
  await store.add(job);
  await touch(1234);
  await until(() => Promise.resolve(troubles.length > 0));
  expect(troubles).toEqual([expect.objectContaining({ code: 'ECOMPROMISED' })]);
  expect(aborted).toBe(1);
  for (const call of [() => store.add(jobOf()), () => store.cancel(job.id), () => store.retry(job.id)]) {
    await expect(call()).rejects.toMatchObject({
      code: 'ERR_DPM_CLOSED',
      message: 'another server has taken the spool',
    });
  }
  store.wake();
  await store.close();
  // The lock is the other's.
  expect(await readdir(folder)).toContain('server.lock');
  expect(aborted).toBe(1);
});
