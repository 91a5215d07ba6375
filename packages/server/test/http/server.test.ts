// Tests of the start and the end of a server, and of its probes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FastifyInstance } from 'fastify';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { listenOn } from '../../src/base/listen.js';
import { settingsOf } from '../../src/config/config.js';
import { readConfig, Server, type ServerConfig } from '../../src/index.js';
import { forms, negotiated } from '../../src/http/accept.js';
import { untilDraws } from '../support.js';

const base: ServerConfig = { models: [{ path: 'mnist', device: 'cpu', rows: 2 }], port: 0, logLevel: 'silent' };

const draw = (url: string, steps: number): Promise<Response> =>
  fetch(`${url}/v1/samples`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'mnist', sampler: 'ddpm', steps, seed: 1 }),
  });

const ready = async (url: string): Promise<[number, unknown]> => {
  const answer = await fetch(`${url}/readyz`);
  return [answer.status, await answer.json()];
};

describe('the end of a server', () => {
  it('comes when what it has accepted is done', async () => {
    const server = await Server.start(base);
    expect(await ready(server.url)).toEqual([200, { ready: true, reasons: [], warnings: [] }]);
    const running = draw(server.url, 300);
    await untilDraws(server);
    const stopped = server.stop();
    expect(await ready(server.url)).toEqual([503, { ready: false, reasons: ['draining'], warnings: [] }]);
    const refused = await draw(server.url, 1);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'ERR_DPM_DRAINING' });
    expect(refused.headers.get('connection')).toBe('close');
    expect(refused.headers.get('retry-after')).toBe('1');
    const answer = await running;
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ evaluations: 300 });
    expect(await stopped).toBe(true);
    expect(await server.stop()).toBe(true);
    await expect(fetch(server.url)).rejects.toThrow();
  });

  it('takes no jobs any more', async () => {
    const spool = await mkdtemp(join(tmpdir(), 'spool-'));
    onTestFinished(() => rm(spool, { recursive: true }));
    const server = await Server.start({ ...base, spool });
    const running = draw(server.url, 300);
    await untilDraws(server);
    const stopped = server.stop();
    const late = await fetch(`${server.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, count: 1 }),
    });
    expect(late.status).toBe(503);
    expect(await late.json()).toMatchObject({ code: 'ERR_DPM_DRAINING' });
    await running;
    expect(await stopped).toBe(true);
  });

  it('cuts what takes longer than it may', async () => {
    const server = await Server.start({ ...base, drain: 50 });
    const running = draw(server.url, 1000);
    await untilDraws(server);
    expect(await server.stop()).toBe(false);
    const answer = await running;
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });

  it('can be cut at once', async () => {
    const server = await Server.start(base);
    const running = draw(server.url, 1000);
    await untilDraws(server);
    await server.cut();
    expect((await running).status).toBe(503);
    expect(await server.stop()).toBe(true);
  });
});

it('listens at the address that it is given', async () => {
  const listen = vi.fn();
  await listenOn({ listen } as unknown as FastifyInstance, { host: '10.1.2.3', port: 80, setting: 'port' });
  expect(listen).toHaveBeenCalledExactlyOnceWith({ host: '10.1.2.3', port: 80 });
});

describe('a server', () => {
  it('serves replicas of a model as one', async () => {
    await using server = await Server.start({
      ...base,
      models: [{ id: 'digits', path: 'mnist', device: 'cpu', rows: 2, engines: 2, threads: 1 }],
    });
    const model = (await (await fetch(`${server.url}/v1/models/digits`)).json()) as { batcher: { rows: number } };
    expect(model.batcher.rows).toBe(4);
  });

  it('limits the requests of an address, where it is told to', async () => {
    await using server = await Server.start({ ...base, requestsPerMinute: 2 });
    const statuses = [];
    for (let i = 0; i < 3; ++i) statuses.push((await fetch(`${server.url}/v1/models`)).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  });

  it('believes what proxies say that it trusts, and nobody else', async () => {
    const statuses = async (config: Partial<ServerConfig>): Promise<number[]> => {
      await using server = await Server.start({ ...base, requestsPerMinute: 1, ...config });
      const ask = (address: string) => fetch(`${server.url}/v1/models`, { headers: { 'x-forwarded-for': address } });
      return [(await ask('192.0.2.1')).status, (await ask('192.0.2.2')).status, (await ask('192.0.2.2')).status];
    };
    expect(await statuses({ trustProxy: ['127.0.0.0/8'] })).toEqual([200, 200, 429]);
    expect(await statuses({ trustProxy: ['10.0.0.1'] })).toEqual([200, 429, 429]);
  });

  it('has a page, unless it is told to have none', async () => {
    const statuses = async (page: boolean): Promise<number[]> => {
      await using server = await Server.start({ ...base, page });
      return await Promise.all(
        ['/', '/page.js', '/page.css'].map(async (path) => (await fetch(server.url + path)).status),
      );
    };
    expect(await statuses(true)).toEqual([200, 200, 200]);
    expect(await statuses(false)).toEqual([404, 404, 404]);
  });

  it('has its metrics at a port of their own, where it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'metrics-'));
    const tokens = join(folder, 'tokens.yaml');
    await writeFile(tokens, '[]', { mode: 0o600 });
    const server = await Server.start({ ...base, tokens, metricsPort: 0 });
    const url = server.metricsUrl!;
    const { hostname } = new URL(server.url);
    expect(new URL(url)).toMatchObject({ hostname, pathname: '/metrics' });
    expect(new URL(url).port).not.toBe(new URL(server.url).port);
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toContain('dpm_backlog_seconds{model="mnist"}');
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
    expect((await fetch(url.replace('/metrics', '/v1/models'))).status).toBe(404);
    await server.stop();
    await expect(fetch(url)).rejects.toThrow();
    await rm(folder, { recursive: true });
  });

  it('gives up where the port of its metrics is taken', async () => {
    await using first = await Server.start(base);
    const metricsPort = Number(new URL(first.url).port);
    await expect(Server.start({ ...base, metricsPort })).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: `metricsPort ${metricsPort} of 127.0.0.1 is taken by another program: EADDRINUSE`,
    });
  });

  it('begins with all of its models or not at all', async () => {
    const missing = Server.start({ ...base, models: [...base.models!, { path: '/nowhere/model' }] });
    await expect(missing).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await using first = await Server.start(base);
    const { port } = new URL(first.url);
    await expect(Server.start({ ...base, port: Number(port) })).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: `port ${port} of 127.0.0.1 is taken by another program: EADDRINUSE`,
    });
  });
});

describe('a configuration', () => {
  it.each<[string, ServerConfig, RegExp]>([
    ['no models', {}, /there is no model to serve/],
    ['two models of one id', { models: [{ path: 'a/m' }, { path: 'b/m' }] }, /two models have the id m/],
    ['a host for others and no tokens', { models: [{ path: 'm' }], host: '0.0.0.0' }, /host 0\.0\.0\.0 can be reached/],
    ['a field that is none', { models: [{ path: 'm' }], hots: 'a' } as ServerConfig, /hots is not a known field/],
    ['a model without a path', { models: [{ id: 'm' }] } as unknown as ServerConfig, /models\/0\/path is missing/],
    ['an id with a slash', { models: [{ id: 'a/b', path: 'm' }] }, /models\/0\/id/],
    ['an origin for all', { models: [{ path: 'm' }], cors: ['*'] }, /cors has '\*'/],
    ['an origin with a path', { models: [{ path: 'm' }], cors: ['https://a.example/'] }, /cors has 'https:/],
    ['an origin of no web', { models: [{ path: 'm' }], cors: ['null'] }, /cors has 'null'/],
    ['a host with a port', { models: [{ path: 'm' }], hosts: ['a.example:80'] }, /hosts has 'a\.example:80'/],
    ['a host that is no name', { models: [{ path: 'm' }], hosts: ['a b'] }, /hosts has 'a b'/],
    ['a proxy that is no address', { models: [{ path: 'm' }], trustProxy: ['10.0.0'] }, /trustProxy has '10\.0\.0'/],
    ['a range that is none', { models: [{ path: 'm' }], trustProxy: ['10.0.0.0/33'] }, /trustProxy has/],
    ['one port for two', { models: [{ path: 'm' }], port: 9000, metricsPort: 9000 }, /metricsPort is 9000/],
    ['a port that is none', { models: [{ path: 'm' }], port: 70_000 }, /port/],
  ])('is refused with %s', (_, config, message) => {
    expect(() => settingsOf(config)).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_CONFIG', message: expect.stringMatching(message) as string }) as Error,
    );
  });

  it('names models by their paths, and fills in what is missing', () => {
    const { models, ...others } = settingsOf({
      models: [{ path: '/a/b.safetensors' }, { path: 'c/d/' }, { id: 'e', path: 'f' }],
    });
    expect(models.map(({ id }) => id)).toEqual(['b', 'd', 'e']);
    expect(others).toMatchObject({ host: '127.0.0.1', port: 8080, maxWait: 30_000, drain: 30_000, insecure: false });
    expect(others).toMatchObject({ cors: [], page: true, metricsPort: undefined, trustProxy: [] });
    expect(
      settingsOf({ models: [{ path: 'm' }], trustProxy: ['::1', '10.0.0.0/8', 'loopback'] }).trustProxy,
    ).toHaveLength(3);
    expect(settingsOf({ models: [{ path: 'm' }], host: '0.0.0.0', insecure: true }).host).toBe('0.0.0.0');
    expect(settingsOf({ models: [{ path: 'm' }], host: '0.0.0.0', tokens: 't' }).tokens).toBe('t');
  });

  it('is read from YAML', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'config-'));
    const file = join(folder, 'server.yaml');
    await writeFile(file, 'port: 9000\nmodels:\n  - { id: digits, path: mnist, rows: auto }\n');
    expect(await readConfig(file)).toEqual({ port: 9000, models: [{ id: 'digits', path: 'mnist', rows: 'auto' }] });
    await writeFile(file, 'port: [');
    await expect(readConfig(file)).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    await writeFile(file, 'prot: 3');
    await expect(readConfig(file)).rejects.toMatchObject({
      message: expect.stringMatching(/prot is not a known field \(did you mean 'port'\?\)/) as string,
    });
    await rm(folder, { recursive: true });
    await expect(readConfig(file)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

it.each<[string | undefined, string]>([
  [undefined, 'application/json'],
  ['', 'application/json'],
  ['image/*;q=0.2, text/event-stream', 'text/event-stream'],
  ['image/*, image/png;q=0, application/json;q=0.1', 'application/json'],
  ['*/*;q=0.1, application/x-npy;q=0.2', 'application/x-npy'],
  ['application/json;q=2, image/png;q=0.1', 'image/png'],
])('of %s a client likes %s best', (accept, form) => {
  if (accept === '') expect(() => negotiated(accept)).toThrow();
  else expect(negotiated(accept)).toBe(form);
  expect(forms).toContain(form);
});
