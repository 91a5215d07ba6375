// Tests of requests that come too slowly.
import { connect } from 'node:net';

import { describe, expect, it } from 'vitest';

import { get, metric, raw, serveDigits, server, until } from '../support.js';

serveDigits({}, { header: 200, request: 400, check: 50 });

const json = 'Content-Type: application/json';
const head = (path: string, ...lines: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');

describe('a request that comes too slowly', () => {
  it.each([
    ['its body', head('/v1/samples', json, 'Content-Length: 100') + '{"model":'],
    ['its body in chunks', head('/v1/samples', json, 'Transfer-Encoding: chunked') + '5\r\n{"mod\r\n'],
    ['its body for another API', head('/v2/models/mnist/infer', 'Content-Length: 100')],
    ['its header', 'POST /v1/samples HTTP/1.1\r\nHost: localhost\r\nContent-'],
    ['its first line', 'POST /v1'],
  ])('with %s is answered, and its connection ended', async (_, bytes) => {
    const began = performance.now();
    const answer = await raw(bytes);
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(answer).toContain('Connection: close');
    const [, body = ''] = answer.split('\r\n\r\n');
    expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'ERR_DPM_TIMEOUT', title: 'Request Timeout' });
  });

  it('is so also where some of it comes all the time', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname, () =>
      socket.write(head('/v1/samples', json, 'Content-Length: 1000')),
    );
    const drip = setInterval(() => socket.write(' '), 50);
    let answer = '';
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1\.1 408 .*ERR_DPM_TIMEOUT/s);
  });

  it('is counted as what it was answered', async () => {
    const labels = 'route="/v1/samples",method="POST",status="408"';
    const before = await metric('dpm_http_requests_total', labels);
    await raw(head('/v1/samples', json, 'Content-Length: 100'));
    await until(async () => (await metric('dpm_http_requests_total', labels)) === before + 1);
  });
});

it('the server goes on', async () => {
  expect((await get('/livez')).status).toBe(200);
});
