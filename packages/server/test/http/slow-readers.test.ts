// Tests of clients that do not read their answers, and of clients that only seem not to.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { metric, post, sample, serveDigits, server, until } from '../support.js';

const STALL = 600;
/** Milliseconds within which a large evaluation is answered. */
const LONG = 20_000;
serveDigits({ models: [{ path: 'mnist', device: 'cpu', rows: 32 }] }, { stall: STALL });

const json = 'Content-Type: application/json';
const head = (path: string, ...lines: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');

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

const large = sent(evaluation(600));
const long = JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps: 1000, count: 4, seed: 1 });
const stream = head('/v1/samples', json, 'Accept: text/event-stream', `Content-Length: ${long.length}`) + long;
const left = (): Promise<number> => metric('dpm_http_requests_total', 'status="499"');

describe('a client that stops reading', () => {
  it('loses its connection, and with it all that it has asked for', async () => {
    const before = await left();
    const socket = await mute(large, stream, stream);
    await until(async () => (await metric('dpm_streams_open')) === 2, LONG);
    expect(await metric('dpm_samples_resident')).toBeGreaterThan(0);
    await until(async () => (await left()) === before + 3, LONG);
    await until(async () => (await metric('dpm_samples_resident')) === 0);
    expect(await metric('dpm_streams_open')).toBe(0);
    expect(await metric('dpm_requests_unfinished')).toBe(0);
    socket.destroy();
  });
});

describe('a client that has patience', () => {
  // A blocked event loop, here that of both sides, looks like a client that does not read.
  it('gets a large answer however slowly it reads', { retry: 2 }, async () => {
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
      await sleep(10);
    }
    expect(length).toBe(expected);
    expect(length).toBeGreaterThan(9e6);
    expect(performance.now() - began).toBeGreaterThan(2 * STALL);
    socket.destroy();
    expect(await left()).toBe(before);
  });

  it('gets what takes longer to make, and may ask again when it likes', async () => {
    const began = performance.now();
    expect((await sample({ sampler: 'ddpm', steps: 1000 })).status).toBe(200);
    expect(performance.now() - began).toBeGreaterThan(STALL);
    const streamed = await post(
      '/v1/samples',
      { model: 'mnist', sampler: 'ddpm', steps: 1000 },
      { accept: 'text/event-stream' },
    );
    expect(streamed.bytes.toString()).toContain('event: done');
    const { hostname, port } = new URL(server.url);
    const again = await new Promise<string>((resolve) => {
      let answer = '';
      const socket = connect(Number(port), hostname, () =>
        socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'),
      );
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('end', () => {
        resolve(answer);
      });
      setTimeout(() => socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'), 2 * STALL);
    });
    expect(again).toMatch(/"alive".*"ready":true/s);
  });
});
