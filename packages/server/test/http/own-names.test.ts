// Tests of requests that a page of a stranger makes of a browser on the server's machine.
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Server, type ServerConfig } from '../../src/index.js';
import { requireOwnNames } from '../../src/http/own-names.js';
import { writeTokens } from '../support.js';

const base: ServerConfig = { models: [{ path: 'mnist', device: 'cpu', rows: 1 }], port: 0, logLevel: 'silent' };
const body = JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, seed: 1 });

interface Answer {
  status: number | undefined;
  text: string;
}

/** Asks as browsers and programs do, which fetch does not let one choose: with any Host. */
const ask = (server: Server, headers: Record<string, string>, method = 'GET', path = '/v1/models'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = { ...headers, ...(method === 'POST' && { 'content-type': 'application/json' }) };
    const asked = httpRequest(`${server.url}${path}`, { method, headers: sent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => {
        resolve({ status: answer.statusCode, text });
      });
    });
    asked.on('error', reject).end(method === 'POST' ? body : undefined);
  });
const draw = (server: Server, headers: Record<string, string>): Promise<Answer> =>
  ask(server, headers, 'POST', '/v1/samples');

let server: Server;
let port: string;
beforeAll(async () => {
  server = await Server.start({ ...base, hosts: ['draw.example.org'], cors: ['https://shop.example'] });
  ({ port } = new URL(server.url));
});
afterAll(() => server.stop());

describe('a request without a token', () => {
  it.each([
    ['the address', () => `127.0.0.1:${port}`],
    ['another address', () => '192.168.0.7'],
    ['an address of version 6', () => `[::1]:${port}`],
    ['localhost', () => `LocalHost:${port}`],
    ['a name below localhost', () => 'digits.localhost'],
    ['a name of the configuration', () => 'Draw.example.org'],
  ])('may have %s as its Host', async (_, host) => {
    expect((await ask(server, { host: host() })).status).toBe(200);
  });

  it.each(['evil.example', 'notlocalhost', 'localhost.evil.example', 'draw.example.org.evil.example', 'a b'])(
    'may not have the Host %s, whatever it asks for',
    async (host) => {
      for (const path of ['/v1/models', '/livez', '/']) {
        const { status, text } = await ask(server, { host }, 'GET', path);
        expect(status, path).toBe(403);
        expect(JSON.parse(text)).toMatchObject({
          code: 'ERR_DPM_FORBIDDEN',
          detail: `Host ${host} is no name of this server: name it in hosts`,
        });
      }
      expect((await draw(server, { host })).status).toBe(403);
    },
  );

  it('draws for pages of the server itself, and of origins that may ask', async () => {
    for (const origin of [`http://127.0.0.1:${port}`, 'https://draw.example.org', 'https://shop.example'])
      expect((await draw(server, { origin })).status, origin).toBe(200);
    expect((await draw(server, {})).status).toBe(200);
  });

  it.each([
    'https://evil.example',
    'http://127.0.0.1:1',
    'https://shop.example:444',
    'https://draw.example.org:444',
    'null',
    'no origin',
  ])(
    'does not draw for pages of the origin %s, which may read all the same what the browser lets them',
    async (origin) => {
      const { status, text } = await draw(server, { origin });
      expect(status).toBe(403);
      expect(JSON.parse(text)).toMatchObject({
        code: 'ERR_DPM_FORBIDDEN',
        detail: `pages of the origin ${origin} may not ask this server: name it in cors`,
      });
      expect((await ask(server, { origin })).status).toBe(200);
    },
  );

  it('may have any Host where everybody is served by names that nobody has told', async () => {
    const statusWith = async (config: Partial<ServerConfig>): Promise<number | undefined> => {
      await using other = await Server.start({ ...base, insecure: true, ...config });
      return (await ask(other, { host: 'studio.lan' })).status;
    };
    expect(await statusWith({})).toBe(200);
    expect(await statusWith({ hosts: ['studio.lan'] })).toBe(200);
    expect(await statusWith({ hosts: ['others.lan'] })).toBe(403);
  });
});

it('asks for no names where tokens say who asks', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'own-names-'));
  const tokens = await writeTokens(folder, 'shop');
  try {
    await using guarded = await Server.start({ ...base, tokens });
    const headers = { host: 'evil.example', origin: 'https://evil.example', authorization: 'Bearer secret' };
    expect((await draw(guarded, headers)).status).toBe(200);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('the check', () => {
  const settings = { host: 'Studio', hosts: [], cors: [], insecure: false };
  const check =
    (headers: Record<string, string>, method = 'POST') =>
    (): void => {
      requireOwnNames(settings)({ method, headers } as unknown as Parameters<ReturnType<typeof requireOwnNames>>[0]);
    };

  it('knows the name that the server listens at', () => {
    expect(check({ host: 'studio:8080' })).not.toThrow();
    expect(check({ host: 'studio-else' })).toThrow('Host studio-else is no name');
  });

  it('asks nothing of clients that say no Host, as those of HTTP 1.0', () => {
    expect(check({})).not.toThrow();
  });

  it('leaves to the browser what draws nothing', () => {
    const headers = { host: 'studio', origin: 'https://evil.example' };
    for (const method of ['GET', 'HEAD', 'OPTIONS']) expect(check(headers, method)).not.toThrow();
    for (const method of ['POST', 'PUT', 'DELETE']) expect(check(headers, method)).toThrow('https://evil.example');
  });
});
