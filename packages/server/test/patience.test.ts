// Clients that send or read too slowly, and those that only seem to.
import { connect, type Socket } from 'node:net';

import { describe, expect, it } from 'vitest';

import { ask, get, metric, post, raw, sample, serveDigits, server, until } from './support.js';

const STALL = 250;
serveDigits({}, { header: 200, request: 400, check: 50, stall: STALL });

const json = 'Content-Type: application/json';
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const head = (path: string, ...lines: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n');

describe('a request that comes too slowly', () => {
  it.each([
    ['its body', head('/v1/samples', json, 'Content-Length: 100') + '{"model":'],
    ['its body in chunks', head('/v1/samples', json, 'Transfer-Encoding: chunked') + '5\r\n{"mod\r\n'],
    ['its body for another API', head('/v2/models/mnist/infer', 'Content-Length: 100')],
    ['its header', 'POST /v1/samples HTTP/1.1\r\nHost: a\r\nContent-'],
    ['its first line', 'POST /v1'],
  ])('with %s is answered, and its connection ended', async (_, bytes) => {
    const began = performance.now();
    const answer = await raw(bytes);
    expect(performance.now() - began).toBeLessThan(2000);
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

/** The body of an evaluation of many rows, whose answer is larger than what the system buffers. */
function evaluation(rows: number): { bytes: Buffer; headers: Record<string, string> } {
  const size = rows * 784 * 4;
  const inputs = [
    { name: 'x', shape: [rows, 1, 28, 28], datatype: 'FP32', parameters: { binary_data_size: size } },
    { name: 't', shape: [rows], datatype: 'FP32', parameters: { binary_data_size: 4 * rows } },
  ];
  const header = Buffer.from(JSON.stringify({ inputs }));
  const bytes = Buffer.concat([header, Buffer.alloc(size + 4 * rows)]);
  return { bytes, headers: { 'inference-header-content-length': String(header.length) } };
}

function sent({ bytes, headers }: { bytes: Buffer; headers: Record<string, string> }): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return Buffer.concat([
    Buffer.from(head('/v2/models/mnist/infer', `Content-Length: ${bytes.length}`, ...lines)),
    bytes,
  ]);
}

/** A client that sends and reads nothing by itself. */
function mute(...bytes: (string | Uint8Array)[]): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => {
      for (const each of bytes) socket.write(each);
      resolve(socket);
    });
    socket.on('error', () => undefined);
  });
}

const large = sent(evaluation(1024));
const long = JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, count: 4, seed: 1 });
const stream = head('/v1/samples', json, 'Accept: text/event-stream', `Content-Length: ${long.length}`) + long;
const left = (): Promise<number> => metric('dpm_http_requests_total', 'status="499"');

describe('a client that stops reading', () => {
  it('loses its connection, and with it all that it has asked for', async () => {
    const before = await left();
    const socket = await mute(large, stream, stream);
    await until(async () => (await metric('dpm_streams_open')) === 2);
    expect(await metric('dpm_samples_resident')).toBeGreaterThan(0);
    await until(async () => (await left()) === before + 3);
    await until(async () => (await metric('dpm_samples_resident')) === 0);
    expect(await metric('dpm_streams_open')).toBe(0);
    expect(await metric('dpm_requests_unfinished')).toBe(0);
    socket.destroy();
  });
});

describe('a client that has patience', () => {
  it('gets a large answer however slowly it reads', async () => {
    const before = await left();
    const socket = await mute(large);
    const parts: Buffer[] = [];
    let began = Infinity;
    let length = 0;
    let expected = Infinity;
    while (length < expected) {
      const part = socket.read() as Buffer | null;
      if (part !== null) {
        began = Math.min(began, performance.now());
        parts.push(part);
        length += part.length;
        const whole = /^(.*?)\r\n\r\n/s.exec(parts[0]!.toString('latin1'))!;
        expected = whole[0].length + Number(/content-length: (\d+)/i.exec(whole[1]!)![1]);
      }
      await sleep(5);
    }
    expect(length).toBe(expected);
    expect(length).toBeGreaterThan(1e7);
    expect(performance.now() - began).toBeGreaterThan(4 * STALL);
    socket.destroy();
    expect(await left()).toBe(before);
  });

  it('gets what takes longer to make, and may ask again when it likes', async () => {
    const began = performance.now();
    expect((await sample({ sampler: 'ddpm', steps: 700 })).status).toBe(200);
    expect(performance.now() - began).toBeGreaterThan(STALL);
    const streamed = await post(
      '/v1/samples',
      { model: 'mnist', sampler: 'ddpm', steps: 700 },
      { accept: 'text/event-stream' },
    );
    expect(streamed.bytes.toString()).toContain('event: done');
    const idle = raw('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', 4 * STALL);
    expect(await idle).toMatch(/^HTTP\/1\.1 200 /);
    const { hostname, port } = new URL(server.url);
    const again = await new Promise<string>((resolve) => {
      let answer = '';
      const socket = connect(Number(port), hostname, () => socket.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n'));
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('end', () => {
        resolve(answer);
      });
      setTimeout(() => socket.write('GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), 4 * STALL);
    });
    expect(again).toMatch(/"alive".*"ready":true/s);
  });
});

it('the server goes on', async () => {
  expect((await get('/livez')).status).toBe(200);
  expect((await ask(server, 'GET', '/readyz')).json).toEqual({ ready: true, reasons: [] });
});
