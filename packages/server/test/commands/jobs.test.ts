// Tests of `dpm jobs` and `dpm worker`, whose work this package does.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Server } from 'dpm-native-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { dpm, dpmProcess } from '../../../../test/support/dpm.js';

let spool: string;
let ids: string[];
const config = () => ({
  models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
  port: 0,
  logLevel: 'silent' as const,
  spool,
  drain: 0,
});

async function post(url: string, more: object): Promise<string> {
  const answer = await fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'mnist', sampler: 'ddpm', seed: '1', ...more }),
  });
  return ((await answer.json()) as { id: string }).id;
}

async function stateOf(url: string, id: string): Promise<string> {
  return ((await (await fetch(`${url}/v1/jobs/${id}`)).json()) as { state: string }).state;
}

beforeAll(async () => {
  spool = mkdtempSync(join(tmpdir(), 'spool-'));
  await using server = await Server.start(config());
  const done = await post(server.url, { count: 1, steps: 1 });
  while ((await stateOf(server.url, done)) !== 'done') await new Promise((resolve) => setTimeout(resolve, 20));
  ids = [
    done,
    await post(server.url, { count: 64, chunk: 8, steps: 1000 }),
    await post(server.url, { count: 64, chunk: 8, steps: 1000 }),
  ];
});
afterAll(() => {
  rmSync(spool, { recursive: true });
});

describe('dpm jobs', () => {
  it('lists jobs, the newest first', async () => {
    const { stdout, code } = await dpm('jobs', 'list', '--spool', spool);
    expect(code).toBe(0);
    const [head, ...rows] = stdout.trim().split('\n');
    expect(head).toMatch(/^id +state +samples +model +sampler +since$/);
    expect(rows.map((row) => row.split(/ +/).slice(0, 5))).toEqual([
      [ids[2], 'queued', '0/64', 'mnist', 'ddpm'],
      [ids[1], 'queued', '0/64', 'mnist', 'ddpm'],
      [ids[0], 'done', '1/1', 'mnist', 'ddpm'],
    ]);
    const { stdout: newest } = await dpm('jobs', 'list', '--spool', spool, '--limit', '2', '--json');
    expect((JSON.parse(newest) as { id: string }[]).map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    const { stdout: json } = await dpm('jobs', 'list', '--spool', spool, '--json');
    expect((JSON.parse(json) as { id: string }[]).map(({ id }) => id)).toEqual([...ids].reverse());
  });

  it('shows one, cancels it and forgets those that are over', async () => {
    expect((await dpm('jobs', 'show', ids[1]!, '--spool', spool)).stdout).toMatch(/^state +queued$/m);
    expect(JSON.parse((await dpm('jobs', 'cancel', ids[1]!, '--spool', spool, '--json')).stdout)).toMatchObject({
      id: ids[1],
      state: 'cancelled',
    });
    expect((await dpm('jobs', 'retry', ids[2]!, '--spool', spool)).stdout).toMatch(/^state +queued$/m);
    expect((await dpm('jobs', 'purge', '--spool', spool)).stdout).toBe('2 jobs are forgotten\n');
    expect((await dpm('jobs', 'list', '--spool', spool, '--json')).stdout).toContain(ids[2]);
    expect((await dpm('jobs', 'cancel', ids[2]!, '--spool', spool)).code).toBe(0);
    expect(JSON.parse((await dpm('jobs', 'purge', '--spool', spool, '--json')).stdout)).toEqual({ purged: 1 });
    expect((await dpm('jobs', 'list', '--spool', spool)).stdout).toBe('there are no jobs\n');
  });

  it('leaves the spool of a server that runs to it', async () => {
    await using server = await Server.start(config());
    const id = await post(server.url, { count: 1, steps: 1000 });
    expect((await dpm('jobs', 'list', '--spool', spool)).stdout).toContain(id);
    const { stderr, code } = await dpmProcess('jobs', 'cancel', id, '--spool', spool);
    expect(code).toBe(1);
    expect(stderr).toBe(`error [ERR_DPM_CONFIG]: the spool ${spool} is in use by another server\n`);
  });

  it.each([
    [['jobs', 'list'], /ERR_DPM_USAGE.*a spool or in a queue/],
    [['jobs', 'list', '--spool', 'x', '--limit', '0'], /--limit is 0, at least 1/],
    [['jobs', 'show', '--spool', 'x'], /takes ID/],
    [['jobs', 'show', 'none', '--spool', '.'], /there is no job none/],
    [['jobs', 'cancel', 'none', '--queue', 'redis://127.0.0.1:1'], /queue redis:\/\/127\.0\.0\.1:1 cannot be reached/],
    [['jobs', 'stop'], /not something to jobs/],
    [['worker', 'mnist', '--device', 'cpu', '--rows', '1', '--port', '0'], /a worker takes a queue/],
    [['worker'], /give models to serve, or --config FILE/],
  ])('refuses %j', async (args, message) => {
    const { stderr, code } = await dpm(...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
  });
});
