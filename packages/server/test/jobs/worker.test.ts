// Tests of a worker beside a server, with jobs over HTTP through a queue.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { changeJob, listJobs, purgeJobs, Server, type JobView, type ServerConfig } from '../../src/index.js';
import { JobWorker } from '../../src/jobs/queue/bullmq-worker.js';
import { Registry } from '../../src/models/registry.js';
import { until } from '../support.js';
import { hasRedis, RedisServer } from './queue/redis-server.js';

const model = { path: 'mnist', device: 'cpu', rows: 4 };

describe.skipIf(!hasRedis)('a worker', () => {
  let redis: RedisServer;
  let folder: string;
  let config: ServerConfig;
  let server: Server;
  let worker: Server;
  beforeAll(async () => {
    redis = await RedisServer.start();
    folder = mkdtempSync(join(tmpdir(), 'results-'));
    config = {
      models: [model],
      port: 0,
      logLevel: 'silent',
      queue: redis.url,
      results: pathToFileURL(folder).href,
    };
    server = await Server.start(config);
    worker = await Server.work(config);
  });
  afterAll(async () => {
    await worker.stop();
    await server.stop();
    await redis.stop();
    rmSync(folder, { recursive: true });
  });

  const send = async (more: object = {}): Promise<JobView> => {
    const answer = await fetch(`${server.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 2, seed: '5', count: 6, chunk: 4, ...more }),
    });
    expect(answer.status).toBe(202);
    return (await answer.json()) as JobView;
  };
  const view = async ({ id }: JobView): Promise<JobView> =>
    (await (await fetch(`${server.url}/v1/jobs/${id}`)).json()) as JobView;
  const bytes = async (path: string): Promise<Buffer> =>
    Buffer.from(await (await fetch(server.url + path)).arrayBuffer());

  it('draws what a server of the queue has taken', async () => {
    const job = await send();
    await until(async () => (await view(job)).state === 'done');
    const answer = await fetch(`${server.url}/v1/samples`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/x-npy' },
      body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 2, seed: '5', count: 4 }),
    });
    expect(await bytes(`/v1/jobs/${job.id}/chunks/0`)).toEqual(Buffer.from(await answer.arrayBuffer()));
    const events = await (await fetch(`${server.url}/v1/jobs/${job.id}/events`)).text();
    expect(events).toMatch(/^id: done-2\nevent: done\n/);
  });

  it('says that samples have been removed, and draws them again when it is told to', async () => {
    const job = await send({ seed: '11' });
    await until(async () => (await view(job)).state === 'done');
    const chunk = `/v1/jobs/${job.id}/chunks/1`;
    const before = await bytes(chunk);
    rmSync(folder, { recursive: true });
    for (const path of [chunk, `/v1/jobs/${job.id}/images/5`]) {
      const answer = await fetch(server.url + path);
      expect(answer.status).toBe(410);
      expect(await answer.json()).toMatchObject({
        code: 'ERR_DPM_NOT_FOUND',
        detail: `the samples have been removed: POST /v1/jobs/${job.id}/retry draws them again`,
      });
    }
    const retried = await fetch(`${server.url}/v1/jobs/${job.id}/retry`, { method: 'POST' });
    expect(((await retried.json()) as JobView).state).not.toBe('done');
    await until(async () => (await view(job)).state === 'done');
    expect(await bytes(chunk)).toEqual(before);
  });

  it('draws for engines of every kind where it may', async () => {
    const job = await send({ engine: 'any', seed: '6' });
    expect(job.engine).toBe('any');
    await until(async () => (await view(job)).state === 'done');
  });

  it('takes no requests itself, and tells how it is', async () => {
    for (const path of ['/v1/models', '/v1/jobs', '/']) expect((await fetch(worker.url + path)).status).toBe(404);
    for (const path of ['/livez', '/readyz']) expect((await fetch(worker.url + path)).status).toBe(200);
    const metrics = await (await fetch(`${worker.url}/metrics`)).text();
    expect(metrics).toMatch(/^dpm_chunks_total\{outcome="done"\} [1-9]/m);
    const told = await (await fetch(`${server.url}/metrics`)).text();
    expect(told).toMatch(/^dpm_jobs\{state="done"\} 3$/m);
    expect(told).toMatch(/^dpm_jobs_backlog_seconds\{queue="dpm-[0-9a-f]{12}-any"\} 0$/m);
  });

  it('has given its chunks back before its models are closed', async () => {
    const own = await Server.work(config);
    const [giving, closing] = [vi.spyOn(JobWorker.prototype, 'close'), vi.spyOn(Registry.prototype, 'close')];
    onTestFinished(() => {
      giving.mockRestore();
      closing.mockRestore();
    });
    let given = (): void => undefined;
    giving.mockImplementationOnce(() => new Promise((resolve) => (given = resolve)));
    const stopped = own.stop();
    await until(() => giving.mock.calls.length > 0);
    expect(closing).not.toHaveBeenCalled();
    given();
    await stopped;
    expect(closing).toHaveBeenCalledOnce();
    await (giving.mock.contexts[0] as JobWorker).close();
  });

  it('is looked after from elsewhere', async () => {
    await worker.stop();
    const job = await send({ seed: '8' });
    const [newest] = await listJobs({ queue: redis.url });
    expect(newest).toMatchObject({ id: job.id, state: 'queued', done: 0 });
    expect(await changeJob({ queue: redis.url }, job.id, 'cancel')).toMatchObject({ state: 'cancelled' });
    expect((await view(job)).state).toBe('cancelled');
    const place = { queue: redis.url, results: config.results };
    expect(readdirSync(folder)).not.toEqual([]);
    expect(await purgeJobs(place)).toBe(4);
    expect(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())).toEqual([]);
    expect(await listJobs({ queue: redis.url })).toEqual([]);
    await expect(changeJob({ queue: redis.url }, job.id, 'retry')).rejects.toMatchObject({
      code: 'ERR_DPM_ARGUMENT',
      message: `there is no job ${job.id}`,
    });
    worker = await Server.work(config);
  });

  it('needs a queue and a place for samples', async () => {
    const { queue, results, ...without } = config;
    await expect(Server.work(without)).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    for (const half of [{ queue }, { results }, { queue, results, spool: folder }]) {
      await expect(Server.start({ ...without, ...half } as ServerConfig)).rejects.toMatchObject({
        code: 'ERR_DPM_CONFIG',
        message: expect.stringMatching(/belong together|one place/) as string,
      });
    }
  });
});

describe.skipIf(!hasRedis)('a worker without its queue', () => {
  let own: RedisServer;
  let client: Redis;
  let worker: Server;
  let folder: string;
  beforeAll(async () => {
    own = await RedisServer.start();
    client = new Redis(own.url);
    client.on('error', () => undefined);
    folder = mkdtempSync(join(tmpdir(), 'results-'));
    const results = pathToFileURL(folder).href;
    worker = await Server.work({ models: [model], port: 0, logLevel: 'silent', queue: own.url, results });
  });
  afterAll(async () => {
    await worker.stop();
    client.disconnect();
    await own.stop();
    rmSync(folder, { recursive: true });
  });

  const readiness = async (): Promise<unknown[]> => {
    const answer = await fetch(`${worker.url}/readyz`);
    return [answer.status, ((await answer.json()) as { reasons: string[] }).reasons];
  };
  const ready = [200, []];
  const refused = (reason: string) => [503, [`the queue cannot be used: ${reason}`]];
  const soon = (expected: unknown[]) =>
    vi.waitFor(async () => {
      expect(await readiness()).toEqual(expected);
    }, 10_000);

  it('is not ready while Redis refuses what is written', async () => {
    await soon(ready);
    await client.config('SET', 'maxmemory', '1');
    expect(await readiness()).toEqual(refused('OOM'));
    await client.config('SET', 'maxmemory', '0');
    expect(await readiness()).toEqual(ready);
    await client.config('SET', 'min-replicas-to-write', '1');
    expect(await readiness()).toEqual(refused('NOREPLICAS'));
    await client.config('SET', 'min-replicas-to-write', '0');
    expect(await readiness()).toEqual(ready);
    // It leaves nothing behind.
    expect(await client.keys('*probe*')).toEqual([]);
  });

  it('is not ready while Redis does not let it in', async () => {
    await client.call('ACL', 'SETUSER', 'other', 'on', 'nopass', '~*', '&*', '+@all');
    await client.call('AUTH', 'other', '');
    await client.config('SET', 'requirepass', 'secret');
    await client.call('CLIENT', 'KILL', 'USER', 'default');
    await soon(refused('NOAUTH'));
    await client.config('SET', 'requirepass', '');
    await soon(ready);
  });

  it('is not ready while Redis is silent or gone', async () => {
    own.signal('SIGSTOP');
    expect(await readiness()).toEqual(refused('it does not answer'));
    own.signal('SIGCONT');
    await soon(ready);
    await own.kill();
    await soon(refused('ECONNREFUSED'));
    await own.start();
    await soon(ready);
  });
});

it('looks at jobs of one place', async () => {
  for (const place of [{}, { spool: 'a', queue: 'redis://b' }]) {
    await expect(listJobs(place)).rejects.toMatchObject({ code: 'ERR_DPM_USAGE' });
  }
  await expect(listJobs({ spool: '/nowhere/at/all' })).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
});
