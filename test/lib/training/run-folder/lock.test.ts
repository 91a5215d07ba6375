// The lock of a run's folder.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { RunLock } from '../../../../lib/training/run-folder/lock.js';
import { RunFolder } from '../../../../lib/training/run-folder/run-folder.js';
import { failure } from '../../../support/failure.js';
import { fresh, options } from '../../../support/trained-folder.js';

describe('the lock of a folder', () => {
  it('keeps a second run out, of this process too', async () => {
    const path = fresh();
    await using run = await RunFolder.open(path, options);
    const error = await failure(RunFolder.open(path, options));
    expect(error.code).toBe('ERR_DPM_FILE');
    expect(error.message).toBe(`${join(path, '.lock')}: process ${process.pid} trains there`);
    await run.close();
    await (await RunFolder.open(path, options)).close();
    expect(existsSync(join(path, '.lock'))).toBe(false);
  });

  const lock = (path: string, fields: Record<string, unknown>): void => {
    mkdirSync(path, { recursive: true });
    const text = JSON.stringify({ pid: process.pid, host: hostname(), began: '', token: 'a', ...fields });
    writeFileSync(join(path, '.lock'), text);
  };

  it('of a process that is gone is taken over', async () => {
    const path = fresh();
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    lock(path, { pid });
    await using own = await RunLock.take(path);
    expect(JSON.parse(readFileSync(own.path, 'utf8'))).toMatchObject({ pid: process.pid });
    expect(readdirSync(path)).toEqual(['.lock']);
  });

  it.skipIf(process.platform !== 'linux')('of a process whose number another one has is taken over', async () => {
    const path = fresh();
    lock(path, { pid: process.pid, began: 'another boot 1' });
    await (await RunLock.take(path)).release();
    expect(readdirSync(path)).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('says which process has it, and since when', async () => {
    const path = fresh();
    mkdirSync(path);
    await using own = await RunLock.take(path);
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    // `starttime`, the 22nd field of proc_pid_stat(5).
    const began = readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)!.split(' ')[22 - 3];
    const { pid, host } = { pid: process.pid, host: hostname() };
    expect(JSON.parse(readFileSync(own.path, 'utf8'))).toMatchObject({ pid, host, began: `${boot} ${began}` });
  });

  it.skipIf(process.platform !== 'linux')('knows a process whose name has brackets', async () => {
    const path = fresh();
    const named = spawn(process.execPath, [
      '-e',
      "process.title = 'a) b) c'; console.log(1); setInterval(() => 0, 1e3)",
    ]);
    onTestFinished(() => {
      named.kill();
    });
    await once(named.stdout, 'data');
    const pid = named.pid!;
    const status = readFileSync(`/proc/${pid}/stat`, 'latin1');
    expect(status).toContain('(a) b) c)');
    const began = status.split(') ').at(-1)!.split(' ')[22 - 3];
    lock(path, { pid, began: `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${began}` });
    expect((await failure(RunLock.take(path))).message).toContain(`process ${pid} trains there`);
  });

  it('of a process that may not be asked is left to it', async () => {
    const path = fresh();
    lock(path, { pid: 4_000_000 });
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    onTestFinished(() => {
      kill.mockRestore();
    });
    expect((await failure(RunLock.take(path))).message).toMatch(/process 4000000 trains there/);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['another machine', { host: 'elsewhere', pid: 1 }, /process 1 on elsewhere trains there; remove the file/],
    ['another machine, whose processes are not those here', { host: 'elsewhere', pid: 4_000_000 }, /on elsewhere/],
    ['a process of another user', { pid: 1 }, /process 1 trains there/],
    ['nobody', { pid: 0 }, /does not say who trains there; remove it/],
    ['text for a number', { pid: '7' }, /does not say who/],
  ])('of %s is left to it', async (_, fields, message) => {
    const path = fresh();
    lock(path, fields);
    const before = readFileSync(join(path, '.lock'), 'utf8');
    expect((await failure(RunLock.take(path))).message).toMatch(message);
    expect(readFileSync(join(path, '.lock'), 'utf8')).toBe(before);
    expect(readdirSync(path)).toEqual(['.lock']);
  });

  it('that is no JSON is somebody’s', async () => {
    const path = fresh();
    mkdirSync(path);
    writeFileSync(join(path, '.lock'), '\0\0');
    expect((await failure(RunLock.take(path))).message).toMatch(/is not JSON.*remove it if no run trains there/);
  });

  it('has one holder of many that take a stale one over', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    for (let round = 0; round < 20; ++round) {
      const path = fresh();
      lock(path, { pid });
      const taken = await Promise.allSettled(Array.from({ length: 8 }, () => RunLock.take(path)));
      expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    }
  });

  it('is released by its holder alone', async () => {
    const path = fresh();
    mkdirSync(path);
    const own = await RunLock.take(path);
    lock(path, { token: 'other' });
    await own.release();
    expect(existsSync(join(path, '.lock'))).toBe(true);
  });
});
