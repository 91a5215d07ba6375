// Tests of requests by pages of other origins.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Server } from '../../src/index.js';
import { writeTokens } from '../support.js';

const origin = 'https://shop.example';
const models = [{ path: 'mnist', device: 'cpu', rows: 1 }];
let folder: string;
let server: Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cors-'));
  const tokens = await writeTokens(folder, 'shop');
  const cors = [origin, 'http://localhost:3000'];
  server = await Server.start({ models, port: 0, tokens, cors, logLevel: 'silent' });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const preflight = (from: string, method = 'POST', to = server): Promise<Response> =>
  fetch(`${to.url}/v1/samples`, {
    method: 'OPTIONS',
    headers: {
      origin: from,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type',
    },
  });
const draw = (headers: Record<string, string>): Promise<Response> =>
  fetch(`${server.url}/v1/samples`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, seed: 1 }),
  });

describe('a page of an origin that may ask', () => {
  it('is told so before it sends its token', async () => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const { status, headers } = await preflight(origin, method);
      expect([status, headers.get('access-control-allow-origin')]).toEqual([204, origin]);
      expect(headers.get('access-control-allow-methods')).toContain(method);
      expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type');
      expect(headers.get('vary')).toContain('Origin');
    }
    expect((await preflight('http://localhost:3000')).headers.get('access-control-allow-origin')).toBe(
      'http://localhost:3000',
    );
  });

  it('can read the answer and its headers', async () => {
    const { status, headers } = await draw({ origin, authorization: 'Bearer secret' });
    expect([status, headers.get('access-control-allow-origin')]).toEqual([200, origin]);
    const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? [];
    const own = [...headers.keys()].filter((name) => name.startsWith('dpm-'));
    expect(own.length).toBeGreaterThan(3);
    expect(exposed.map((name) => name.toLowerCase())).toEqual(
      expect.arrayContaining([...own, 'dpm-grid', 'retry-after', 'server-timing', 'location']),
    );
    expect(headers.get('access-control-allow-credentials')).toBeNull();
  });

  it('can read what it is refused with', async () => {
    const { status, headers } = await draw({ origin });
    expect([status, headers.get('access-control-allow-origin')]).toEqual([401, origin]);
    const missing = await fetch(`${server.url}/nothing`, { headers: { origin } });
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([404, origin]);
  });
});

describe('a page of another origin', () => {
  it.each([
    'https://other.example',
    'https://shop.example.org',
    'http://shop.example',
    'https://shop.example:8443',
    'null',
  ])('is told nothing: %s', async (other) => {
    const asked = await preflight(other);
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([405, null]);
    const { headers } = await draw({ origin: other, authorization: 'Bearer secret' });
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it('is every one where none is named', async () => {
    await using closed = await Server.start({ models, port: 0, logLevel: 'silent' });
    const { status, headers } = await preflight(origin, 'POST', closed);
    expect([status, headers.get('access-control-allow-origin')]).toEqual([405, null]);
  });
});
