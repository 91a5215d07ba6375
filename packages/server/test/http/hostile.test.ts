// Tests of hostile bytes: each connection gets an answer or ends, and the server goes on.
import { afterEach, describe, expect, it } from 'vitest';

import { expectProblem, get, post, raw, sample, serveDigits, until, metric } from '../support.js';

serveDigits();

afterEach(async () => {
  expect((await get('/livez')).status).toBe(200);
});

const body = JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, seed: 1 });
const head = (lines: string[]): string => ['POST /v1/samples HTTP/1.1', ...lines, '', ''].join('\r\n');
const json = 'Content-Type: application/json';

describe('a body', () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ['that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), /is not UTF-8/],
    ['that is cut', '{"model": "mnist"', /is no JSON/],
    ['of several lines, which are told in one', 'a\nb\r\nc', /^the body is no JSON: [^\r\n]*$/],
    [
      'with an option of two lines',
      '{"model":"mnist","sampler":"ddim","options":{"a\\nb":1}}',
      /^options\/a b [^\r\n]*$/,
    ],
    ['that is empty', '', /./],
    ['that is a number', '1', /body/],
    ['that is null', 'null', /body/],
    ['nested 10^5 deep', '['.repeat(1e5), /nested more than 32 deep/],
    ['of objects nested deeply', '{"a":'.repeat(40) + '1' + '}'.repeat(40), /nested more than 32 deep/],
    ['with a prototype', '{"model":"mnist","__proto__":{"steps":1}}', /field __proto__/],
    ['with a prototype in escapes', '{"model":"mnist","\\u005f_pr\\u006fto__":{"steps":1}}', /field __proto__/],
    ['with a constructor in escapes', '{"model":"mnist","options":{"c\\u006Fnstructor":1}}', /field constructor/],
    ['with a constructor', '{"model":"mnist","options":{"constructor":{"prototype":{}}}}', /field constructor/],
    ['with a name that is no sampler', '{"model":"mnist","sampler":"toString"}', /sampler/],
    [
      'with an option that every object has',
      '{"model":"mnist","sampler":"ddim","options":{"hasOwnProperty":1}}',
      /hasOwnProperty/,
    ],
    ['with infinite numbers', '{"model":"mnist","guidance":1e999}', /guidance/],
  ])('%s is refused', async (_, bytes, message) => {
    const answer = await post('/v1/samples', bytes);
    expectProblem(answer, 400, 'ERR_DPM_ARGUMENT');
    expect(answer.json.detail).toMatch(message);
  });

  it('may have brackets in its texts, and escapes', async () => {
    const text = `{"model":"mnist${'['.repeat(40)}\\"${'{'.repeat(40)}"}`;
    expect((await post('/v1/samples', text)).json.detail).not.toContain('nested');
  });
});

describe('a header', () => {
  it.each<[string, string[]]>([
    ['two lines Host', ['Host: localhost', 'Host: b', json, `Content-Length: ${body.length}`]],
    ['no Host', [json, `Content-Length: ${body.length}`]],
    ['two lengths', ['Host: localhost', json, `Content-Length: ${body.length}`, 'Content-Length: 3']],
    ['a length and chunks', ['Host: localhost', json, `Content-Length: ${body.length}`, 'Transfer-Encoding: chunked']],
    ['a length that is none', ['Host: localhost', json, 'Content-Length: 1x']],
    ['a negative length', ['Host: localhost', json, 'Content-Length: -1']],
    ['an encoding that is none', ['Host: localhost', json, 'Transfer-Encoding: xchunked']],
    ['chunked twice', ['Host: localhost', json, 'Transfer-Encoding: chunked, chunked']],
    ['a space before the colon', ['Host : a', json, `Content-Length: ${body.length}`]],
    ['a folded line', ['Host: localhost', 'X: a', ' b', json, `Content-Length: ${body.length}`]],
    ['a zero byte', ['Host: a\0b', json, `Content-Length: ${body.length}`]],
    ['a bare line feed', ['Host: a\nX: b', json, `Content-Length: ${body.length}`]],
  ])('with %s is no request', async (_, lines) => {
    const answer = await raw(head(lines) + body);
    // Node accepts bare line feeds. The rest is then a header, and no request is smuggled.
    if (lines[0]!.includes('\n')) expect(answer).toMatch(/^HTTP\/1\.1 (200|400)/);
    else expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
  });

  it.each([
    'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'hello\r\n\r\n',
    '\0'.repeat(1000),
  ])('that is none ends its connection: %j', async (bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 (400|404|505) |^$/);
  });

  it('that asks for another protocol is answered as it would be without', async () => {
    const answer = await raw(
      'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
      500,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('a path', () => {
  it.each([
    '/v1/models/..%2f..%2fetc%2fpasswd',
    '/v1/models/%00',
    '/..%2f',
    '/v1/models/__proto__',
    '/v1/models/%ff',
    '//',
  ])('%s leads nowhere', async (path) => {
    const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
    expect(answer).toContain('application/problem+json');
  });
});

describe('many clients', () => {
  it('that leave in the middle leave nothing behind', async () => {
    const clients = Array.from({ length: 50 }, async (_, i) => {
      const left = new AbortController();
      const long = { model: 'mnist', sampler: 'ddpm', steps: 1000, seed: i };
      const answer = post('/v1/samples', long, i % 2 === 0 ? { accept: 'text/event-stream' } : {}, left.signal);
      await new Promise((resolve) => setTimeout(resolve, 5 * i));
      left.abort();
      await answer.catch(() => null);
    });
    await Promise.all(clients);
    await until(async () => (await metric('dpm_requests_unfinished')) === 0);
    // The step that runs ends first.
    await until(async () => (await metric('dpm_samples_resident')) === 0);
    expect(await metric('dpm_streams_open')).toBe(0);
  });

  it('that leave with several requests on one connection leave nothing behind', async () => {
    const request = JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, count: 2 });
    const one = head(['Host: localhost', json, `Content-Length: ${request.length}`]) + request;
    // A busy machine may take a while for the program, which is made first.
    const answer = raw(one + one + one, 3000);
    await until(async () => (await metric('dpm_samples_resident')) > 0);
    await answer;
    await until(async () => (await metric('dpm_requests_unfinished')) === 0);
    await until(async () => (await metric('dpm_samples_resident')) === 0);
  });

  it('at once all get what they would get alone', async () => {
    const alone = (await sample({})).json.images;
    const answers = await Promise.all(Array.from({ length: 100 }, () => sample({})));
    for (const { json: answer } of answers) expect(answer.images).toEqual(alone);
  });

  it('that break off in their bodies are forgotten', async () => {
    const partial = head(['Host: localhost', json, 'Content-Length: 100000']) + body;
    await Promise.all(Array.from({ length: 20 }, () => raw(partial, 100)));
  });
});
