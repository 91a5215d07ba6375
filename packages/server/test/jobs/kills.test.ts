// Tests that kill processes: no accepted work is lost, and all bytes are those of an undisturbed run.
// DPM_KILLS and DPM_KILL_SAMPLES make it long.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { Queue } from 'bullmq';
import { DiffusionModel } from 'dpm-native';
import { describe, expect, it } from 'vitest';

import { queueOf } from '../../src/jobs/job.js';
import { until } from '../support.js';
import { Process } from './command.js';
import { hasRedis, RedisServer } from './queue/redis-server.js';

const kills = Number(process.env.DPM_KILLS ?? 1);
const samples = Number(process.env.DPM_KILL_SAMPLES ?? 160);
const patience = 60_000 + kills * 30_000 + samples * 100;
/** Milliseconds of a chunk's lock, and until another worker has to notice that it has run out. */
const recovery = 20_000;

interface JobView {
  id: string;
  state: string;
  done: number;
  chunks: number;
}

const request = { model: 'mnist', sampler: 'ddim', steps: 10, seed: '3', chunk: 64 };

/** The bytes that every chunk has to have. */
async function expected(count: number): Promise<Buffer> {
  await using model = await DiffusionModel.load('mnist', { device: 'cpu' });
  const { images } = await model.sample({ sampler: 'ddim', steps: 10, seed: 3n, count, format: 'uint8' });
  return Buffer.from(images.toUint8());
}

async function drawn(server: Process, { id, chunks }: JobView): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let k = 0; k < chunks; ++k) parts.push((await server.bytes(`/v1/jobs/${id}/chunks/${k}`)).subarray(128));
  return Buffer.concat(parts);
}

/** Milliseconds from the kill of a worker until its chunks were begun again. */
async function recoveriesOf(url: string, server: Process, id: string, killedAt: readonly number[]): Promise<number[]> {
  const { digest, engine } = await server.json<{ digest: string; engine: string }>(`/v1/jobs/${id}`);
  const queue = new Queue(queueOf({ digest, engine }), { connection: { url } });
  const chunks = await queue.getJobs(['completed']);
  await queue.close();
  return chunks
    .filter(({ stalledCounter }) => stalledCounter > 0)
    .map(({ processedOn = 0 }) => processedOn - Math.max(...killedAt.filter((time) => time < processedOn)));
}

/** The processes, files and Redis of a test, all of which end with it. */
class Place implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'kills-'));
  readonly #running: Process[] = [];

  async start(...args: string[]): Promise<Process> {
    const started = await Process.start(...args);
    this.#running.push(started);
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((each) => each.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class PlaceWithQueue extends Place {
  private constructor(readonly redis: RedisServer) {
    super();
  }

  static async open(): Promise<PlaceWithQueue> {
    return new PlaceWithQueue(await RedisServer.start());
  }

  get options(): string[] {
    return ['--queue', this.redis.url, '--results', pathToFileURL(this.folder).href];
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.redis.stop();
  }
}

describe.skipIf(!hasRedis)('with a queue', () => {
  it(`draws all of ${samples} samples while workers are killed ${kills} times`, { timeout: patience }, async () => {
    await using place = await PlaceWithQueue.open();
    const server = await place.start('serve', 'mnist', ...place.options);
    const answer = await server.post('/v1/jobs', { ...request, count: samples });
    expect(answer.status).toBe(202);
    const { id } = (await answer.json()) as JobView;
    const job = (): Promise<JobView> => server.json(`/v1/jobs/${id}`);
    const killedAt: number[] = [];
    for (let kill = 0; kill < kills; ++kill) {
      const { done } = await job();
      const worker = await place.start('worker', 'mnist', '--rows', '4', '--threads', '1', ...place.options);
      await until(async () => (await job()).done > done, recovery + 10_000);
      await sleep(500 * Math.random());
      await worker.kill();
      killedAt.push(Date.now());
    }
    const last = await place.start('worker', 'mnist', '--rows', '4', ...place.options);
    await until(async () => (await job()).state === 'done', patience);
    expect(await job()).toMatchObject({ done: samples, failedChunks: [] });
    expect(await drawn(server, await job())).toEqual(await expected(samples));
    last.signal('SIGTERM');
    expect(await last.ended()).toBe(0);
    const recoveries = await recoveriesOf(place.redis.url, server, id, killedAt);
    expect(Math.max(...recoveries)).toBeLessThan(recovery);
    console.log(`${recoveries.length} chunks began again within ${Math.max(...recoveries)} ms of ${kills} kills`);
  });

  it('serves samples while Redis is gone, and then goes on with its jobs', async () => {
    await using place = await PlaceWithQueue.open();
    const server = await place.start('serve', 'mnist', '--rows', '4', ...place.options);
    await place.start('worker', 'mnist', '--rows', '4', '--threads', '1', ...place.options);
    const { id } = (await (await server.post('/v1/jobs', { ...request, count: 256 })).json()) as JobView;
    const job = (): Promise<JobView> => server.json(`/v1/jobs/${id}`);
    await until(async () => (await job()).done > 0);
    const samplesWork = async (): Promise<void> => {
      const answer = await server.post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 3, seed: 1 });
      expect(answer.status).toBe(200);
    };
    for (const away of ['killed', 'stopped'] as const) {
      if (away === 'killed') await place.redis.kill();
      else place.redis.signal('SIGSTOP');
      await samplesWork();
      const refused = await server.post('/v1/jobs', { ...request, count: 1 });
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('5');
      expect(await refused.json()).toMatchObject({ code: 'ERR_DPM_QUEUE' });
      await sleep(process.env.DPM_KILLS === undefined ? 1000 : 30_000);
      await samplesWork();
      if (away === 'killed') await place.redis.start();
      else place.redis.signal('SIGCONT');
      await until(async () => (await server.post('/v1/jobs', { ...request, count: 1 })).status === 202);
    }
    await until(async () => (await job()).state === 'done');
    expect(await drawn(server, await job())).toEqual(await expected(256));
  });

  it('ends when it is told to while Redis is gone', async () => {
    await using place = await PlaceWithQueue.open();
    const processes = [
      await place.start('serve', 'mnist', '--rows', '4', '--drain', '1', ...place.options),
      await place.start('worker', 'mnist', '--rows', '4', '--drain', '1', ...place.options),
    ];
    await processes[0]!.post('/v1/jobs', { ...request, count: 64, chunk: 8, steps: 1000 });
    await sleep(1000);
    await place.redis.kill();
    const began = performance.now();
    for (const each of processes) each.signal('SIGTERM');
    expect(await Promise.all(processes.map((each) => each.ended()))).toEqual([0, 0]);
    expect(performance.now() - began).toBeLessThan(60_000);
  });
});

it(`has every job that it took, with a spool, after ${kills} kills`, { timeout: patience }, async () => {
  await using place = new Place();
  // The long --max-wait keeps even a slow machine from refusing anything.
  const args = ['serve', 'mnist', '--rows', '4', '--max-wait', '3600', '--spool', place.folder];
  const count = Math.min(samples, 320);
  const taken = new Set<string>();
  for (let kill = 0; kill < kills; ++kill) {
    const server = await place.start(...args);
    // Seconds of work, and not more than a batch that was measured on a busy machine takes.
    const waiting = server.post('/v1/samples', { ...request, chunk: undefined, count: 16, steps: 500 }).then(
      ({ status }) => `answered ${status}`,
      () => 'reset',
    );
    // Each job has its own key. Some are sent as the process ends, and those that got 202 count as taken.
    const sent = Array.from({ length: 4 }, async (_, i) => {
      await sleep(100 * i * Math.random());
      const key = { 'idempotency-key': `job ${kill} ${i}`.replaceAll(' ', '-') };
      const answer = await server.post('/v1/jobs', { ...request, count: i === 0 ? count : 8 }, key);
      if (answer.status === 202) taken.add(((await answer.json()) as JobView).id);
    });
    const settled = Promise.allSettled(sent);
    // The kill comes after the first job, so that at least one is taken.
    await sent[0];
    await sleep(300 * Math.random());
    await server.kill();
    await settled;
    // A busy machine may have refused it before.
    expect(['reset', 'answered 429', 'answered 503']).toContain(await waiting);
  }
  const server = await place.start(...args);
  expect(taken.size).toBeGreaterThanOrEqual(kills);
  const all = await server.json<{ data: JobView[] }>('/v1/jobs');
  const ids = new Set(all.data.map(({ id }) => id));
  for (const id of taken) expect(ids).toContain(id);
  await until(
    async () => (await server.json<{ data: JobView[] }>('/v1/jobs')).data.every(({ state }) => state === 'done'),
    patience,
  );
  const bytes = await expected(count);
  for (const id of ids) {
    const job = await server.json<JobView>(`/v1/jobs/${id}`);
    const own = await drawn(server, job);
    expect(own.equals(bytes.subarray(0, own.length))).toBe(true);
    expect(own.length).toBe(job.done * 784);
    expect(readdirSync(join(place.folder, id)).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
  }
  // The same key gives the same job, and no second one.
  const again = await server.post('/v1/jobs', { ...request, count }, { 'idempotency-key': 'job-0-0' });
  expect((await server.json<{ data: JobView[] }>('/v1/jobs')).data).toHaveLength(ids.size);
  expect(again.status).toBe(202);
});

it('does what it has accepted when it is told to end', async () => {
  await using place = new Place();
  const server = await place.start('serve', 'mnist', '--rows', '4', '--spool', place.folder);
  await server.post('/v1/jobs', { ...request, count: 24, chunk: 8, steps: 60 });
  const sent = Array.from({ length: 12 }, (_, i) =>
    server.post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 30, seed: i }),
  );
  // The batch has a chunk of the job and the twelve requests.
  await until(async () =>
    /^dpm_requests_unfinished\{model="mnist"\} 13$/m.test((await server.bytes('/metrics')).toString()),
  );
  server.signal('SIGTERM');
  await until(async () => (await fetch(`${server.url}/readyz`)).status === 503);
  const late = await server.post('/v1/samples', { model: 'mnist', sampler: 'ddim', steps: 1 });
  expect(late.status).toBe(503);
  expect(await late.json()).toMatchObject({ code: 'ERR_DPM_DRAINING' });
  const answers = await Promise.all(sent);
  expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
  expect(await server.ended()).toBe(0);
  // The rest of the job is done the next time.
  const next = await place.start('serve', 'mnist', '--rows', '4', '--spool', place.folder);
  await until(
    async () => (await next.json<{ data: JobView[] }>('/v1/jobs')).data.every(({ state }) => state === 'done'),
    30_000,
  );
});
