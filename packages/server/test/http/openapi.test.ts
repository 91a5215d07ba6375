// Tests of the server's description of itself.
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Server } from '../../src/index.js';
import { expectDescribed } from '../described.js';
import { ask, get, post, serveDigits, server, writeTokens } from '../support.js';

const spool = mkdtempSync(join(tmpdir(), 'spool-'));
serveDigits({ spool });
afterAll(() => {
  rmSync(spool, { recursive: true });
});

interface Operation {
  operationId?: string;
  summary?: string;
  security?: object[];
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; headers?: object; content?: Record<string, { schema: object }> }>;
}

type Document = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes?: object };
};

async function documentOf(to: Server): Promise<Document> {
  return (await ask(to, 'GET', '/openapi.json')).json as unknown as Document;
}

const operationsOf = ({ paths }: Document): [string, Operation][] =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );

describe('the description', () => {
  it('is OpenAPI 3.1, of every route but the page', async () => {
    const document = await documentOf(server);
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(document.openapi).toBe('3.1.0');
    expect(
      operationsOf(document)
        .map(([name]) => name)
        .sort(),
    ).toEqual([
      'delete /v1/jobs/{id}',
      'delete /v1/models/{id}',
      'get /livez',
      'get /metrics',
      'get /openapi.json',
      'get /readyz',
      'get /v1/jobs',
      'get /v1/jobs/{id}',
      'get /v1/jobs/{id}/chunks/{index}',
      'get /v1/jobs/{id}/events',
      'get /v1/jobs/{id}/images/{index}',
      'get /v1/models',
      'get /v1/models/{id}',
      'get /v1/samplers',
      'get /v2',
      'get /v2/health/live',
      'get /v2/health/ready',
      'get /v2/models/{id}',
      'get /v2/models/{id}/ready',
      'post /v1/images/edits',
      'post /v1/images/generations',
      'post /v1/jobs',
      'post /v1/jobs/{id}/retry',
      'post /v1/samples',
      'post /v2/models/{id}/infer',
      'put /v1/models/{id}',
    ]);
  });

  it('has a name, a line and all answers of every operation', async () => {
    const operations = operationsOf(await documentOf(server));
    const names = operations.map(([, { operationId }]) => operationId);
    expect(new Set(names).size).toBe(operations.length);
    for (const [name, { operationId, summary, responses }] of operations) {
      expect(operationId, name).toMatch(/^[a-z]\w+$/);
      expect(summary, name).toMatch(/\.$/);
      expect(Object.keys(responses), name).toEqual(expect.arrayContaining(['400', '408', '414', '415', '431', '500']));
      expect(
        Object.keys(responses).some((status) => status.startsWith('2')),
        name,
      ).toBe(true);
      for (const [status, { description, content }] of Object.entries(responses)) {
        expect(description, `${name} ${status}`).not.toBe('Default Response');
        expect(content === undefined, `${name} ${status}`).toBe(status === '204');
      }
    }
  });

  it('has plain sentences, as the metrics have', async () => {
    const told: string[] = [];
    JSON.stringify(await documentOf(server), (key, value: unknown) => {
      if (key === 'description' && typeof value === 'string') told.push(value);
      return value;
    });
    expect(told).toEqual(expect.arrayContaining(['Id of the model.', 'Index of the chunk, from 0.']));
    const { bytes } = await get('/metrics');
    const helps = [...bytes.toString().matchAll(/^# HELP dpm_\w+ (.*)$/gm)].map(([, help = '']) => help);
    expect(helps).toContain('Time that drawing a chunk took');
    expect([...told, ...helps].filter((text) => /^(?:$|Of )/.test(text))).toEqual([]);
  });

  it('tells how jobs are listed by pages', async () => {
    const { paths } = await documentOf(server);
    expect(paths['/v1/jobs']!.get!.parameters).toMatchObject([
      { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 1000, default: 100 } },
      { name: 'cursor', in: 'query', schema: { type: 'string', maxLength: 128 } },
    ]);
  });

  it('tells of errors in the words of each API', async () => {
    const { paths, components } = await documentOf(server);
    const typeOf = (path: string, method: string, status: string) => paths[path]![method]!.responses[status]?.content;
    const reference = (name: string) => ({ schema: { $ref: `#/components/schemas/${name}` } });
    expect(typeOf('/v1/samples', 'post', '504')).toEqual({ 'application/problem+json': reference('Problem') });
    expect(typeOf('/v1/images/generations', 'post', '404')).toEqual({ 'application/json': reference('OpenAIError') });
    expect(typeOf('/v2/models/{id}/infer', 'post', '503')).toEqual({ 'application/json': reference('KServeError') });
    // Some errors end a connection before its path is read.
    expect(typeOf('/v2/models/{id}/infer', 'post', '408')).toEqual({
      'application/problem+json': reference('Problem'),
    });
    expect(Object.keys(components.schemas).sort()).toEqual(['KServeError', 'OpenAIError', 'Problem']);
    expect(typeOf('/v1/samples', 'post', '507')).toBeUndefined();
    expect(typeOf('/v1/models/{id}', 'put', '507')).toBeDefined();
    expect(typeOf('/livez', 'get', '401')).toBeUndefined();
    expect(typeOf('/v1/models', 'get', '401')).toBeUndefined();
  });

  it('tells of the forms of answers and bodies', async () => {
    const { paths } = await documentOf(server);
    const samples = paths['/v1/samples']!.post!;
    expect(Object.keys(samples.responses[200]!.content!)).toEqual([
      'application/json',
      'image/png',
      'application/x-npy',
      'application/x-safetensors',
      'text/event-stream',
    ]);
    expect(Object.keys(samples.responses[200]!.headers!)).toContain('dpm-seed');
    expect(Object.keys(samples.requestBody!.content)).toEqual(['application/json']);
    expect(samples.parameters).toMatchObject([{ name: 'idempotency-key', in: 'header' }]);
    const infer = paths['/v2/models/{id}/infer']!.post!;
    expect(Object.keys(infer.requestBody!.content)).toEqual(['application/json', 'application/octet-stream']);
    expect(paths['/metrics']!.get!.responses[200]!.content).toHaveProperty('text/plain');
  });

  it('has no say in what is sent', async () => {
    // Errors for other methods belong to the path.
    expect((await get('/v1/models', {}, 'HEAD')).status).toBe(200);
    expect((await post('/readyz', {})).status).toBe(405);
    expect((await post('/v1/samples', { model: 'mnist', steps: 1, sampler: 'ddim' })).json.digest).toBeDefined();
  });
});

it('an answer that is not described fails its test', async () => {
  const told = { ...(await get('/livez')), json: { status: 'alive' } };
  const url = new URL('/livez', server.url);
  await expectDescribed('GET', url, told);
  for (const wrong of [
    { json: { status: 'dead' } },
    { json: { status: 'alive', since: 0 } },
    { status: 299 },
    { headers: new Headers({ 'content-type': 'text/html' }) },
  ]) {
    await expect(expectDescribed('GET', url, { ...told, ...wrong })).rejects.toThrow(/GET \/livez/);
  }
  const stream = {
    ...told,
    headers: new Headers({ 'content-type': 'text/event-stream' }),
    bytes: Buffer.from('event: progress\ndata: {"done":1}\n\n'),
  };
  await expect(expectDescribed('POST', new URL('/v1/samples', url), stream)).rejects.toThrow(/progress/);
});

describe('the description of a server with tokens', () => {
  let folder: string;
  let closed: Server;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'openapi-'));
    const tokens = await writeTokens(folder, 'me');
    const models = [{ path: 'mnist', device: 'cpu', rows: 1 }];
    closed = await Server.start({ models, port: 0, tokens, logLevel: 'silent' });
  });
  afterAll(async () => {
    await closed.stop();
    await rm(folder, { recursive: true });
  });

  it('says which they are for', async () => {
    const document = await documentOf(closed);
    expect((await new Validator().validate(structuredClone(document))).errors).toBeUndefined();
    expect(document.components.securitySchemes).toMatchObject({ bearer: { type: 'http', scheme: 'bearer' } });
    const { paths } = document;
    expect(paths['/v1/samples']!.post!.security).toEqual([{ bearer: ['sample'] }]);
    expect(paths['/v1/models/{id}']!.put!.security).toEqual([{ bearer: ['admin'] }]);
    expect(paths['/livez']!.get!.security).toBeUndefined();
    expect(paths['/v1/samples']!.post!.responses).toHaveProperty('401');
    expect((await documentOf(server)).components.securitySchemes).toBeUndefined();
  });
});
