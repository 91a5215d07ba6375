// The beginning and the end of a server, and what it says of itself.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { settingsOf } from '../src/config.js';
import { readConfig, Server, type ServerConfig } from '../src/index.js';
import { forms, negotiated } from '../src/accept.js';

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
    expect(await ready(server.url)).toEqual([200, { ready: true, reasons: [] }]);
    const running = draw(server.url, 300);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stopped = server.stop();
    expect(await ready(server.url)).toEqual([503, { ready: false, reasons: ['draining'] }]);
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

  it('cuts what takes longer than it may', async () => {
    const server = await Server.start({ ...base, drain: 50 });
    const running = draw(server.url, 1000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await server.stop()).toBe(false);
    const answer = await running;
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });

  it('can be cut at once', async () => {
    const server = await Server.start(base);
    const running = draw(server.url, 1000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server.cut();
    expect((await running).status).toBe(503);
    expect(await server.stop()).toBe(true);
  });
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

  it('begins with all of its models or not at all', async () => {
    const missing = Server.start({ ...base, models: [...base.models!, { path: '/nowhere/model' }] });
    await expect(missing).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await using first = await Server.start(base);
    const { port } = new URL(first.url);
    await expect(Server.start({ ...base, port: Number(port) })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('a configuration', () => {
  it.each<[string, ServerConfig, RegExp]>([
    ['no models', {}, /there is no model to serve/],
    ['two models of one id', { models: [{ path: 'a/m' }, { path: 'b/m' }] }, /two models have the id m/],
    ['a host for others and no tokens', { models: [{ path: 'm' }], host: '0.0.0.0' }, /host 0\.0\.0\.0 is for others/],
    ['a field that is none', { models: [{ path: 'm' }], hots: 'a' } as ServerConfig, /hots is no field here/],
    ['a model without a path', { models: [{ id: 'm' }] } as unknown as ServerConfig, /models\/0\/path is missing/],
    ['an id with a slash', { models: [{ id: 'a/b', path: 'm' }] }, /models\/0\/id/],
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
      message: expect.stringMatching(/prot is no field here/) as string,
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
