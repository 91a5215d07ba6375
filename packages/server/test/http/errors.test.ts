// Tests of every error in the table of docs/http.md.
import { DpmError, dpmErrorCodes } from 'dpm-native';
import { describe, expect, it } from 'vitest';

import { failureOf, ServerError } from '../../src/base/problem.js';
import { expectProblem, get, metric, post, raw, sample, serveDigits, server, until } from '../support.js';

serveDigits({ models: [{ path: 'mnist', device: 'cpu', rows: 2, maxWait: 2000 }] });

describe('a wrong field', () => {
  it.each<[string, object, string]>([
    ['model', { model: 3 }, 'model'],
    ['sampler', { sampler: 'dddm' }, 'sampler'],
    ['steps', { steps: 0 }, 'steps'],
    ['too many steps', { steps: 1001 }, 'steps'],
    ['a fraction of a step', { steps: 1.5 }, 'steps'],
    ['a text for a number', { steps: '5' }, 'steps'],
    ['count', { count: 65 }, 'count'],
    ['first', { first: -1 }, 'first'],
    ['seed', { seed: -1 }, 'seed'],
    ['a seed above 2^64', { seed: '18446744073709551616' }, 'seed'],
    ['a text that is no seed', { seed: '1e3' }, 'seed'],
    ['labels', { classLabels: 1.5 }, 'classLabels'],
    ['as many labels as samples', { classLabels: [1, 2], count: 3 }, 'classLabels'],
    ['as many weights as samples', { guidance: [1, 2], count: 3 }, 'guidance'],
    ['labels of a network without classes', { classLabels: 3 }, 'classLabels'],
    ['an option of another sampler', { options: { order: 2 } }, 'options/order'],
    ['an option that is none', { sampler: 'unipc', options: { ordr: 2 } }, 'options/ordr'],
    ['a table of the model', { sampler: 'analytic-ddpm', options: { gamma: [1] } }, 'options/gamma'],
    ['steps among the options', { options: { steps: 4 } }, 'options/steps'],
    ['what is out of range', { sampler: 'unipc', options: { order: 9 } }, 'order'],
    ['the shape of states', { init: { shape: [1, 1, 28, 27], b64: '' } }, 'init/shape'],
    ['too few states', { init: { shape: [1, 1, 28, 28], b64: 'AAAA' } }, 'init/b64'],
    ['a field that is too much', { init: { shape: [1, 1, 28, 28], b64: '', dtype: 'f4' } }, 'init/dtype'],
    ['dtype', { dtype: 'f16' }, 'dtype'],
    ['priority', { priority: 'urgent' }, 'priority'],
    ['deadline', { deadlineMs: 0 }, 'deadlineMs'],
    ['previews of no stream', { preview: { every: 2 } }, 'preview'],
    ['a field that is none', { step: 5 }, 'step'],
  ])('is told: %s', async (_, body, param) => {
    const answer = await sample(body);
    expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
    expect(answer.json.param).toBe(param);
    expect(answer.json.detail).toContain(param.split('/').at(-1));
  });

  it('is told of a stream, too', async () => {
    const stream = { accept: 'text/event-stream' };
    expectProblem(await sample({ preview: { every: 2 }, count: 5 }, stream), 400, 'ERR_DPM_ARGUMENT');
    expectProblem(await sample({ steps: 50, preview: { every: 1 } }, stream), 400, 'ERR_DPM_ARGUMENT');
  });

  it.each([
    [{ sampler: 'unpic' }, /^sampler has to be one of ddpm, ddim, .*, scheduler \(did you mean 'unipc'\?\)$/],
    [{ sampler: 'magic' }, /^sampler has to be one of ddpm, ddim, .*, scheduler$/],
    [{ sampler: 7 }, /^sampler has to be one of ddpm, ddim, .*, scheduler$/],
    [{ options: { end: 'dota' } }, /'dota' is unknown \(did you mean 'data'\?\); use one of data, first/],
    [{ model: 'mnst' }, /^there is no model of that name \(did you mean 'mnist'\?\); there are: mnist/],
    [{ model: 'cifar' }, /^there is no model of that name; there are: mnist/],
  ])('that is no name says which there are, and the nearest: %j', async (body, detail) => {
    expect((await sample(body)).json.detail).toMatch(detail);
  });

  it('that is missing is told', async () => {
    const answer = await post('/v1/samples', { steps: 3 });
    expect(answer.json).toMatchObject({ code: 'ERR_DPM_ARGUMENT', param: 'model', detail: 'model is missing' });
    expect((await post('/v1/samples', [])).json).toMatchObject({ code: 'ERR_DPM_ARGUMENT', param: 'body' });
  });
});

describe('a request', () => {
  it('for nothing that is there is 404, and of another method 405 with those there are', async () => {
    expectProblem(await sample({ model: 'cifar' }), 404, 'ERR_DPM_NOT_FOUND');
    expectProblem(await get('/v1'), 404, 'ERR_DPM_NOT_FOUND');
    expectProblem(await get('/v1/samples/'), 404, 'ERR_DPM_NOT_FOUND');
    const answer = await get('/v1/samples');
    expectProblem(answer, 405, 'ERR_DPM_METHOD');
    expect(answer.headers.get('allow')).toBe('POST');
    const other = await post('/v1/models/mnist', {});
    expectProblem(other, 405, 'ERR_DPM_METHOD');
    expect(other.headers.get('allow')).toBe('GET, HEAD, PUT, DELETE');
  });

  it('of another form than JSON is 415', async () => {
    expectProblem(await sample({}, { 'content-type': 'text/plain' }), 415, 'ERR_DPM_MEDIA_TYPE');
    expectProblem(await sample({}, { 'content-encoding': 'gzip' }), 415, 'ERR_DPM_MEDIA_TYPE');
    expect((await sample({}, { 'content-encoding': 'identity' })).status).toBe(200);
  });

  it('that is too large is 413, 414 or 431, and ends its connection', async () => {
    // Requests for samples may have pictures, others have not.
    const large = await post('/v1/samples', { model: 'm'.repeat(2 ** 24) });
    expectProblem(large, 413, 'ERR_DPM_TOO_LARGE');
    expect(large.headers.get('connection')).toBe('close');
    expect((await post('/v1/images/generations', { model: 'm'.repeat(2 ** 20) })).status).toBe(413);
    expectProblem(await post('/v1/samples', { model: 'm'.repeat(2 ** 20) }), 400, 'ERR_DPM_ARGUMENT');
    expectProblem(await get(`/v1/models?${'x'.repeat(9000)}`), 414, 'ERR_DPM_URI');
    const answer = await raw(`GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 .*ERR_DPM_HEADERS/s);
    expect(answer).toContain('Connection: close');
  });

  it('that would wait too long is refused with the time', async () => {
    // This is a minute of work, but at most 64 samples, as a larger request would be refused for its size.
    const minute = (60 * (await metric('dpm_capacity_rows_per_second'))) / 1000;
    const long = { sampler: 'ddpm', steps: 1000, count: Math.min(64, Math.max(1, Math.round(minute))) };
    const left = new AbortController();
    let hasEnded = false;
    const running = post('/v1/samples', { model: 'mnist', ...long }, {}, left.signal)
      .catch(() => null)
      .finally(() => (hasEnded = true));
    await until(async () => hasEnded || (await metric('dpm_backlog_seconds')) >= 2);
    expect(hasEnded).toBe(false);
    const refused = await sample({});
    expectProblem(refused, 503, 'ERR_DPM_OVERLOADED');
    const wait = Number(refused.json.retryAfterMs) / 1000;
    expect(wait).toBeGreaterThan(2);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(Math.ceil(wait));
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(Math.ceil(1.25 * wait));
    expect(await metric('dpm_refused_total', 'reason="wait"')).toBe(1);
    // Nothing is made of a request that is refused, be it right or not; one with a key may be at work already.
    const wrong = { sampler: 'ddim', options: { nothing: 1 } };
    expectProblem(await sample(wrong), 503, 'ERR_DPM_OVERLOADED');
    const images = await post('/v1/images/generations', { model: 'mnist', prompt: '' });
    expect([images.status, images.json.error]).toMatchObject([503, { code: 'ERR_DPM_OVERLOADED' }]);
    expect(await metric('dpm_refused_total', 'reason="wait"')).toBe(3);
    expect(await metric('dpm_requests_total', 'outcome="refused"')).toBe(3);
    expectProblem(await sample(wrong, { 'idempotency-key': 'a' }), 400, 'ERR_DPM_ARGUMENT');
    const early = await sample({ priority: 'high', deadlineMs: 1, steps: 500 });
    expectProblem(early, 503, 'ERR_DPM_DEADLINE');
    expect(early.headers.get('retry-after')).toMatch(/^\d+$/);
    left.abort();
    await running;
    await until(async () => (await metric('dpm_backlog_seconds')) === 0);
  });
});

it('that is late while it runs is 504', async () => {
  const late = await sample({ sampler: 'dpm-solver-adaptive', steps: undefined, deadlineMs: 5 });
  expectProblem(late, 504, 'ERR_DPM_DEADLINE');
  expect(late.headers.get('retry-after')).toBeNull();
  expect(await metric('dpm_requests_total', 'outcome="late"')).toBe(1);
});

describe('errors of the library', () => {
  const of = (error: unknown) => failureOf(error, 'id', () => 0.5);

  it.each<[number, string[]]>([
    [400, ['ERR_DPM_ARGUMENT', 'ERR_DPM_TENSOR_SHAPE', 'ERR_DPM_USAGE']],
    [422, ['ERR_DPM_UNSUPPORTED']],
    [499, ['ERR_DPM_ABORTED']],
    [503, ['ERR_DPM_CLOSED', 'ERR_DPM_DEADLINE', 'ERR_DPM_DEVICE', 'ERR_DPM_OUT_OF_MEMORY', 'ERR_DPM_OVERLOADED']],
  ])('have the status %d', (status, codes) => {
    for (const code of codes) expect(of(new DpmError(code as never, 'why')).problem).toMatchObject({ status, code });
  });

  it('that are none of the client are 500, and say nothing of the server', () => {
    const known = [400, 422, 499, 503];
    const others = dpmErrorCodes.filter((code) => !known.includes(of(new DpmError(code, 'x')).problem.status));
    expect(others).toHaveLength(13);
    for (const error of [
      ...others.map((code) => new DpmError(code, '/secret/path')),
      new Error('/secret/path'),
      'odd',
    ]) {
      const { problem } = of(error);
      expect(problem.status).toBe(500);
      expect(JSON.stringify(problem)).not.toContain('secret');
      expect(problem.detail).toContain('id');
    }
  });

  it('say when to come back', () => {
    const headers = (error: DpmError) => of(error).headers;
    expect(headers(new DpmError('ERR_DPM_OVERLOADED', 'x', { retryAfterMs: 4000 }))).toEqual({ 'retry-after': '5' });
    expect(headers(new DpmError('ERR_DPM_OVERLOADED', 'x', { retryAfterMs: 0 }))).toEqual({ 'retry-after': '1' });
    expect(headers(new DpmError('ERR_DPM_DEADLINE', 'x', { retryAfterMs: 100 }))).toEqual({ 'retry-after': '1' });
    expect(headers(new DpmError('ERR_DPM_DEADLINE', 'x'))).toEqual({});
    expect(headers(new DpmError('ERR_DPM_CLOSED', 'x'))).toEqual({ 'retry-after': '2' });
    expect(headers(new DpmError('ERR_DPM_ARGUMENT', 'x'))).toEqual({});
  });

  it('name the field where their words begin with it', () => {
    const param = (message: string) => of(new DpmError('ERR_DPM_ARGUMENT', message)).problem.param;
    expect(param('steps is 0, it has to be a positive integer')).toBe('steps');
    expect(param('sampler dpm-solver++-2m: order is 9')).toBe('order');
    expect(param('classLabels[3] is 12, it has to be')).toBe('classLabels');
    expect(param('the program reads the second output')).toBeUndefined();
    expect(of(new DpmError('ERR_DPM_UNSUPPORTED', 'steps is 0')).problem.param).toBeUndefined();
  });

  it('of the server close connections that are of no use', () => {
    for (const code of ['ERR_DPM_TIMEOUT', 'ERR_DPM_DRAINING', 'ERR_DPM_HEADERS', 'ERR_DPM_TOO_LARGE'] as const) {
      expect(of(new ServerError(code, 'x')).headers).toEqual({ connection: 'close' });
    }
    expect(of(new ServerError('ERR_DPM_RATE', 'x', { headers: { 'retry-after': '3' } }))).toMatchObject({
      problem: { status: 429, title: 'Too Many Requests' },
      headers: { 'retry-after': '3' },
    });
  });
});

it('the server is the same after all of that', async () => {
  expect((await sample({})).status).toBe(200);
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});
