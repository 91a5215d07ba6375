// Tests of jobs over HTTP, in a spool.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ImageBatch } from 'dpm-native';
import { decode } from 'fast-png';
import { afterAll, describe, expect, it, vi } from 'vitest';

import { Server } from '../../src/index.js';
import { SpoolFiles } from '../../src/jobs/spool/spool-files.js';
import {
  ask,
  expectProblem,
  get,
  metric,
  model,
  post,
  sample,
  serveDigits,
  server,
  until,
  untilDraws,
  type Answer,
} from '../support.js';

const spool = mkdtempSync(join(tmpdir(), 'spool-'));
serveDigits({ spool });
afterAll(() => {
  rmSync(spool, { recursive: true });
});

const body = { model: 'mnist', sampler: 'ddim', steps: 3, seed: '7', count: 10, chunk: 4 };

const add = (more: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  post('/v1/jobs', { ...body, ...more }, headers);

async function finished(answer: Answer): Promise<Record<string, unknown>> {
  expect(answer.status).toBe(202);
  const place = answer.headers.get('location')!;
  expect(place).toBe(`/v1/jobs/${answer.json.id as string}`);
  let { json } = answer;
  await until(async () => {
    ({ json } = await get(place));
    return ['done', 'failed', 'cancelled'].includes(json.state as string);
  }, 20_000);
  return json;
}

const levels = async (seed: string, count: number, first = 0): Promise<Uint8Array> =>
  (
    await model.sample({ sampler: 'ddim', steps: 3, seed: BigInt(seed), count, first, format: 'uint8' })
  ).images.toUint8();

describe('a job', () => {
  it('draws the samples of its seed, chunk by chunk', async () => {
    const answer = await add();
    expect(answer.json).toMatchObject({ object: 'job', total: 10, chunks: 3, chunk: 4, shape: [1, 28, 28], seed: '7' });
    expect(answer.json.engine).toMatch(/^cpu-[a-z0-9]+-f32-\d+\.\d+\.\d+$/);
    const job = await finished(answer);
    expect(job).toMatchObject({ state: 'done', done: 10, failedChunks: [], expectedSeconds: 0 });
    const expected = await levels('7', 10);
    const chunks = await Promise.all([0, 1, 2].map((k) => get(`/v1/jobs/${job.id as string}/chunks/${k}`)));
    expect(chunks.map(({ headers }) => headers.get('content-type'))).toEqual(Array(3).fill('application/x-npy'));
    expect(Buffer.concat(chunks.map(({ bytes }) => bytes.subarray(128)))).toEqual(Buffer.from(expected));
    const npy = await sample({ seed: '7', count: 4, first: 4 }, { accept: 'application/x-npy' });
    expect(chunks[1]!.bytes).toEqual(npy.bytes);
  });

  it.each(['npy', 'safetensors', 'png'] as const)('has every image of its chunks in %s', async (format) => {
    const job = await finished(await add({ format, count: 6, first: 3 }));
    const expected = new ImageBatch(await levels('7', 6, 3), [6, 1, 28, 28], model.range);
    for (const [i, image] of [...expected].entries()) {
      const answer = await get(`/v1/jobs/${job.id as string}/images/${i}`);
      expect(answer.headers.get('content-type')).toBe('image/png');
      expect(decode(answer.bytes).data).toEqual(image.toUint8());
    }
  });

  it('keeps floats where it is told to', async () => {
    const job = await finished(await add({ dtype: 'f32', count: 2, chunk: 2 }));
    const { images } = await model.sample({ sampler: 'ddim', steps: 3, seed: 7n, count: 2 });
    const chunk = await get(`/v1/jobs/${job.id as string}/chunks/0`);
    expect(chunk.bytes.subarray(128)).toEqual(
      Buffer.from(images.data.buffer, images.data.byteOffset, images.data.byteLength),
    );
    const shown = await get(`/v1/jobs/${job.id as string}/images/1`);
    expect(decode(shown.bytes).data).toEqual([...images][1]!.toUint8());
  });

  it('draws a seed where it has none', async () => {
    const { seed: _, ...unseeded } = body;
    const answer = await post('/v1/jobs', { ...unseeded, count: 1 });
    expect(answer.json.seed).toMatch(/^\d{1,20}$/);
    const job = await finished(answer);
    const chunk = await get(`/v1/jobs/${job.id as string}/chunks/0`);
    expect(chunk.bytes.subarray(128)).toEqual(Buffer.from(await levels(job.seed as string, 1)));
  });

  it('is one job under one key', async () => {
    const headers = { 'idempotency-key': 'order-1' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => add({}, headers)));
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expectProblem(await add({ count: 11 }, headers), 422, 'ERR_DPM_IDEMPOTENCY');
    expectProblem(await add({}, { 'idempotency-key': '\u00e4' }), 400, 'ERR_DPM_ARGUMENT');
    await finished(answers[0]!);
    const other = await add({}, { 'idempotency-key': 'order-2' });
    expect(other.json.id).not.toBe(answers[0]!.json.id);
    await finished(other);
  });

  it('tells how it goes on', async () => {
    const answer = await add({ count: 12, steps: 20 });
    const stream = await fetch(`${server.url}${answer.headers.get('location')!}/events`);
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    const text = await stream.text();
    const events = [...text.matchAll(/^id: (\S+)\nevent: (\w+)\ndata: (.*)$/gm)].map(([, id, event, data]) => ({
      id,
      event,
      data: JSON.parse(data!) as { done: number },
    }));
    expect(events.length).toBeGreaterThanOrEqual(2);
    expect(events.at(-1)).toMatchObject({ id: 'done-3', event: 'done', data: { state: 'done', done: 12 } });
    const done = events.map(({ data }) => data.done);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    // A reader that connects again gets the state first.
    const again = await fetch(`${server.url}${answer.headers.get('location')!}/events`, {
      headers: { 'last-event-id': 'done-3' },
    });
    expect(await again.text()).toMatch(/^id: done-3\nevent: done\n/);
  });

  it('is drawn again where its file was damaged', async () => {
    const job = await finished(await add({ seed: '13' }));
    const id = job.id as string;
    const chunk = `/v1/jobs/${id}/chunks/1`;
    const { bytes: before } = await get(chunk);
    truncateSync(join(spool, id, '1.npy'), 100);
    expectProblem(await get(chunk), 404, 'ERR_DPM_NOT_FOUND');
    await until(async () => (await get(`/v1/jobs/${id}`)).json.state === 'done', 20_000);
    expect((await get(chunk)).bytes).toEqual(before);
  });

  it('is refused where the disk is full', async () => {
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    const writing = vi.spyOn(SpoolFiles.prototype, 'add').mockRejectedValueOnce(full);
    const answer = await add();
    writing.mockRestore();
    expectProblem(answer, 507, 'ERR_DPM_STORAGE');
    expect(answer.headers.get('retry-after')).toBe('60');
    expect(answer.json.detail).toBe('the disk for jobs is full');
  });

  it('can be cancelled, and its images are gone', async () => {
    const answer = await add({ count: 64, chunk: 8, steps: 200 });
    const place = answer.headers.get('location')!;
    expectProblem(await get(`${place}/images/63`), 404, 'ERR_DPM_NOT_FOUND');
    expect((await get(`${place}/images/63`)).headers.get('retry-after')).toBe('1');
    const cancelled = await get(place, {}, 'DELETE');
    expect(cancelled.status).toBe(200);
    expect(cancelled.json.state).toBe('cancelled');
    expectProblem(await get(`${place}/images/0`), 410, 'ERR_DPM_ABORTED');
    expectProblem(await get(`${place}/chunks/0`), 410, 'ERR_DPM_ABORTED');
    await until(async () => (await metric('dpm_samples_resident')) === 0);
    expect((await get(place, {}, 'DELETE')).status).toBe(200);
    expect((await post(`${place}/retry`, {})).json.state).toBe('cancelled');
  });

  it('is listed by pages, each of which names the next', async () => {
    const whole = (await get('/v1/jobs?limit=1000')).json as { data: { id: string }[]; next: string | null };
    expect(whole.next).toBeNull();
    const found: string[] = [];
    let path: string | undefined = '/v1/jobs?limit=2';
    while (path !== undefined) {
      const { json, headers } = await get(path);
      const { data, next } = json as typeof whole;
      found.push(...data.map(({ id }) => id));
      path = /^<(.*)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];
      expect(path).toBe(next === null ? undefined : `/v1/jobs?limit=2&cursor=${next}`);
      expect(data.length).toBeLessThanOrEqual(2);
    }
    expect(found).toEqual(whole.data.map(({ id }) => id));
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=many', 'limit'],
    ['cursor=next', 'cursor'],
    [`cursor=${'a'.repeat(129)}`, 'cursor'],
    ['offset=1', 'offset'],
  ])('is not listed by ?%s', async (query, param) => {
    const answer = await get(`/v1/jobs?${query}`);
    expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
    expect(answer.json.param).toBe(param);
  });

  it('is listed, and counted', async () => {
    const { json } = await get('/v1/jobs');
    const { data } = json as { data: { createdAt: string; state: string }[] };
    expect(data.length).toBeGreaterThan(5);
    expect(data.map(({ createdAt }) => createdAt)).toEqual(
      data
        .map(({ createdAt }) => createdAt)
        .sort()
        .reverse(),
    );
    expect(await metric('dpm_jobs', 'state="done"')).toBe(data.filter(({ state }) => state === 'done').length);
    expect(await metric('dpm_jobs', 'state="cancelled"')).toBe(1);
    expect(await metric('dpm_chunks_total', 'outcome="done"')).toBeGreaterThan(10);
    expect(await metric('dpm_chunk_seconds_count')).toBe(await metric('dpm_chunks_total', 'outcome="done"'));
    expect(await metric('dpm_jobs_backlog_seconds')).toBe(0);
    const running = await add({ count: 64, steps: 300 });
    expect(await metric('dpm_jobs_backlog_seconds')).toBeGreaterThan(0);
    expect(running.json.expectedSeconds).toBeGreaterThan(0);
    await get(running.headers.get('location')!, {}, 'DELETE');
  });
});

it.each<[string, object, string]>([
  ['a sampler that is none', { sampler: 'dimm' }, 'sampler'],
  ['an option that is none', { options: { ordr: 2 } }, 'options/ordr'],
  ['an option of the wrong kind', { sampler: 'unipc', options: { order: 'two' } }, 'order'],
  ['steps that are too many', { steps: 1001 }, 'steps'],
  ['no count', { count: undefined }, 'count'],
  ['too many samples', { count: 1_000_001 }, 'count'],
  ['too many chunks', { count: 10_000, chunk: 2 }, 'chunk'],
  ['chunks that are too large', { chunk: 257 }, 'chunk'],
  ['samples beyond those of a seed', { first: 2 ** 32 - 64, count: 65 }, 'first'],
  ['labels for a network without', { classLabels: 3 }, 'classLabels'],
  ['fewer weights than samples', { guidance: [1, 2] }, 'guidance'],
  ['initial states', { init: { shape: [1, 1, 28, 28], b64: '' } }, 'init'],
  ['previews', { preview: { every: 1 } }, 'preview'],
  ['another format', { format: 'jpeg' }, 'format'],
  ['a seed that is none', { seed: '18446744073709551616' }, 'seed'],
])('refuses a job with %s', async (_, more, param) => {
  const answer = await add(more);
  expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
  expect(answer.json.param).toBe(param);
});

it('knows what is no job, and no part of one', async () => {
  const unknown = '/v1/jobs/00000000-0000-0000-0000-000000000000';
  for (const path of ['', '/events', '/chunks/0', '/images/0'])
    expectProblem(await get(unknown + path), 404, 'ERR_DPM_NOT_FOUND');
  expectProblem(await get(unknown, {}, 'DELETE'), 404, 'ERR_DPM_NOT_FOUND');
  expectProblem(await post(`${unknown}/retry`, {}), 404, 'ERR_DPM_NOT_FOUND');
  expectProblem(await add({ model: 'other' }), 404, 'ERR_DPM_NOT_FOUND');
  const job = await finished(await add({ count: 5 }));
  for (const path of ['chunks/2', 'chunks/-1', 'chunks/x', 'images/5', 'images/1e9', 'images/0.5']) {
    expectProblem(await get(`/v1/jobs/${job.id as string}/${path}`), 404, 'ERR_DPM_NOT_FOUND');
  }
});

it('goes on after the server has ended', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spool-'));
  const config = {
    models: [{ path: 'mnist', device: 'cpu', rows: 4 }],
    port: 0,
    logLevel: 'silent' as const,
    spool: folder,
  };
  const request = { ...body, count: 24, chunk: 8, steps: 30 };
  const send = (url: string): Promise<Response> =>
    fetch(`${url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
      body: JSON.stringify(request),
    });
  let id: unknown;
  {
    const first = await Server.start({ ...config, drain: 0 });
    ({ id } = (await (await send(first.url)).json()) as { id: unknown });
    await expect(Server.start(config)).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    // The job goes on later, so no work was cut.
    expect(await first.stop()).toBe(true);
  }
  {
    await using second = await Server.start(config);
    // The key still holds.
    const again = (await (await send(second.url)).json()) as { id: unknown };
    expect(again.id).toBe(id);
    const place = `${second.url}/v1/jobs/${id as string}`;
    await until(async () => ((await (await fetch(place)).json()) as { state: string }).state === 'done');
    const chunk = Buffer.from(await (await fetch(`${place}/chunks/2`)).arrayBuffer());
    const { images } = await model.sample({
      sampler: 'ddim',
      steps: 30,
      seed: 7n,
      count: 8,
      first: 16,
      format: 'uint8',
    });
    expect(chunk.subarray(128)).toEqual(Buffer.from(images.toUint8()));
  }
  rmSync(folder, { recursive: true });
});

it('says what a chunk has failed of', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spool-'));
  const config = { models: [{ path: 'mnist', device: 'cpu' }], port: 0, logLevel: 'silent' as const, spool: folder };
  let id: string;
  {
    await using first = await Server.start(config);
    const added = await ask(first, 'POST', '/v1/jobs', { body: { ...body, count: 3, chunk: 1 } });
    id = added.json.id as string;
    await until(async () => (await ask(first, 'GET', `/v1/jobs/${id}`)).json.state === 'done');
  }
  rmSync(join(folder, id, '1.npy'));
  const failures = [{ chunk: 1, code: 'ERR_DPM_DEVICE', message: 'the card is lost' }];
  writeFileSync(join(folder, id, 'failed.json'), JSON.stringify(failures));
  await using second = await Server.start(config);
  expect((await ask(second, 'GET', `/v1/jobs/${id}`)).json).toMatchObject({ state: 'failed', done: 2 });
  const failed = await ask(second, 'GET', `/v1/jobs/${id}/chunks/1`);
  expectProblem(failed, 404, 'ERR_DPM_NOT_FOUND');
  expect(failed.json.detail).toBe('the chunk failed: the card is lost');
  expect((await ask(second, 'GET', `/v1/jobs/${id}/chunks/2`)).status).toBe(200);
  rmSync(folder, { recursive: true });
});

it('lets those go who follow a job when the server ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spool-'));
  const other = await Server.start({
    models: [{ path: 'mnist', device: 'cpu', rows: 4 }],
    port: 0,
    logLevel: 'silent',
    spool: folder,
    drain: 200_000,
  });
  const taken = await ask(other, 'POST', '/v1/jobs', { body: { ...body, count: 64, chunk: 1, steps: 100 } });
  const stream = await fetch(`${other.url}/v1/jobs/${taken.json.id as string}/events`);
  const text = stream.text();
  await untilDraws(other);
  const began = performance.now();
  expect(await other.stop()).toBe(true);
  expect(performance.now() - began).toBeLessThan(60_000);
  expect(await text).toMatch(/^event: progress$/m);
  expect(await text).not.toMatch(/^event: (done|error)$/m);
  rmSync(folder, { recursive: true });
});

it('has no jobs where there is no place for them', async () => {
  await using other = await Server.start({
    models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
    port: 0,
    logLevel: 'silent',
  });
  expect((await fetch(`${other.url}/v1/jobs`)).status).toBe(404);
});
