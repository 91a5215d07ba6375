// Tests of the quotas of tenants over HTTP.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Server, type ServerConfig } from '../../src/index.js';
import { SpoolStore } from '../../src/jobs/spool/spool-store.js';
import { ask, expectProblem, until, type Answer } from '../support.js';

const folder = mkdtempSync(join(tmpdir(), 'quotas-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const entry = (name: string, more = ''): string => {
  const sha256 = createHash('sha256').update(name).digest('hex');
  return `- { name: ${name}, sha256: ${sha256}, scopes: [jobs${name === 'boss' ? ', admin' : ''}]${more} }\n`;
};

const start = (config: Partial<ServerConfig>): Promise<Server> =>
  Server.start({
    models: [{ path: 'mnist', device: 'cpu', rows: 2 }],
    port: 0,
    logLevel: 'silent',
    spool: mkdtempSync(join(folder, 'spool-')),
    ...config,
  });

// Thousands of steps take longer than the test.
const slow = { model: 'mnist', sampler: 'ddpm', steps: 1000, count: 200, chunk: 100, seed: '1' };
const quick = { model: 'mnist', sampler: 'ddim', steps: 1, count: 2, seed: '1' };

describe('a tenant', () => {
  let server: Server;
  beforeAll(async () => {
    const tokens = join(folder, 'tokens.yaml');
    const lines = [
      entry('plain'),
      entry('calm'),
      entry('few', ', unfinishedJobs: 1'),
      entry('small', ', unfinishedSamples: 300'),
      entry('narrow', ', resultBytes: 200000'),
      entry('boss', ', unfinishedJobs: 0'),
    ];
    writeFileSync(tokens, lines.join(''), { mode: 0o600 });
    server = await start({ tokens, unfinishedJobs: 3, unfinishedSamples: 900, resultBytes: 900_000, drain: 0 });
  });
  afterAll(() => server.stop());

  const as = (token: string, method: string, path: string, body?: object): Promise<Answer> =>
    ask(server, method, path, { headers: { authorization: `Bearer ${token}` }, ...(body !== undefined && { body }) });
  const add = (token: string, body: object): Promise<Answer> => as(token, 'POST', '/v1/jobs', body);

  it.each([
    ['few', 'unfinishedJobs', 429, 1],
    ['small', 'unfinishedSamples', 429, 1],
    ['narrow', 'resultBytes', 507, 1],
    ['plain', 'unfinishedJobs', 429, 3],
  ])('has the quota of its token, or that of all (%s: %s)', async (token, name, status, taken) => {
    const answers = [];
    for (let i = 0; i <= taken; ++i) answers.push(await add(token, slow));
    expect(answers.slice(0, taken).map((answer) => answer.status)).toEqual(Array(taken).fill(202));
    const refused = answers.at(-1)!;
    expectProblem(refused, status, 'ERR_DPM_QUOTA');
    expect(refused.json.detail).toContain(`quota ${name} is`);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    // The rows that are left, and the speed of the model, tell better than the minute that is told without them.
    expect(seconds).not.toBe(60);
    const place = answers[0]!.headers.get('location')!;
    await as(token, 'DELETE', place);
    await until(async () => (await add(token, quick)).status === 202);
  });

  it('is told where no wait helps', async () => {
    const refused = await add('small', { ...slow, count: 301 });
    expectProblem(refused, 422, 'ERR_DPM_QUOTA');
    expect(refused.headers.get('retry-after')).toBeNull();
    expect(refused.json.detail).toBe(
      'quota unfinishedSamples is 300 samples of jobs that are not over, this one has 301',
    );
  });

  it('has a quota of its own, also where an admin tries its job again', async () => {
    const retry = vi.spyOn(SpoolStore.prototype, 'retry');
    const { id } = (await add('calm', quick)).json as { id: string };
    for (const token of ['boss', 'calm']) {
      expect((await as(token, 'POST', `/v1/jobs/${id}/retry`)).status).toBe(200);
    }
    const own = { unfinishedJobs: 3, unfinishedSamples: 900, resultBytes: 900_000 };
    expect(retry.mock.calls).toEqual([
      [id, undefined],
      [id, own],
    ]);
    expectProblem(await add('boss', quick), 422, 'ERR_DPM_QUOTA');
  });
});

it('everybody shares the quota of the configuration where there are no tokens', async () => {
  const server = await start({ unfinishedJobs: 1, drain: 0 });
  expect((await ask(server, 'POST', '/v1/jobs', { body: slow })).status).toBe(202);
  expectProblem(await ask(server, 'POST', '/v1/jobs', { body: slow }), 429, 'ERR_DPM_QUOTA');
  await server.stop();
});
