// Tests of the fields of errors that logs have, and of those that they leave out.
import { once } from 'node:events';

import { DpmError } from 'dpm-native';
import type { FastifyRequest } from 'fastify';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';

import { note } from '../../src/http/context.js';
import { loggerOf } from '../../src/observe/log.js';
import { hasRedis, RedisServer } from '../jobs/queue/redis-server.js';

/** The part of a log's line that shows an error. */
function logged(error: unknown): { text: string; err: Record<string, unknown> } {
  let text = '';
  loggerOf('info', { write: (line) => (text += line) }).error({ err: error }, 'it failed');
  return { text, err: (JSON.parse(text) as { err: Record<string, unknown> }).err };
}

it('the line of a request has all that was noted of it', () => {
  const request = { noted: {} } as FastifyRequest;
  note(request, { model: 'a', runMs: 1 });
  note(request, { runMs: 2, bytes: 3 });
  expect(request.noted).toEqual({ model: 'a', runMs: 2, bytes: 3 });
});

describe('a log', () => {
  it('has what an error says, and its causes', () => {
    const cause = Object.assign(new TypeError('below'), { code: 'EBELOW', args: ['a secret'] });
    const { err } = logged(new DpmError('ERR_DPM_FILE', 'above', { cause }));
    expect(err).toMatchObject({ type: 'DpmError', code: 'ERR_DPM_FILE', message: 'above' });
    expect(err.stack).toContain('log.test.ts');
    expect(err.cause).toMatchObject({ type: 'TypeError', code: 'EBELOW', message: 'below' });
  });

  it('has nothing else of it', () => {
    const cause = Object.assign(new Error('below'), { url: 'redis://:a-secret@host' });
    const error = Object.assign(new Error('above', { cause }), { command: { name: 'auth', args: ['a-secret'] } });
    expect(logged(error).text).not.toContain('secret');
  });

  it('has no token of a request', () => {
    let text = '';
    const headers = { authorization: 'Bearer a-secret', host: 'here' };
    loggerOf('info', { write: (line) => (text += line) }).info({ headers, req: { headers } }, 'asked');
    expect(JSON.parse(text)).toMatchObject({ headers: { host: 'here' }, req: { headers: { host: 'here' } } });
    expect(text).not.toContain('secret');
  });

  it('ends where causes go round, and takes what is no error', () => {
    const error = new Error('round');
    error.cause = error;
    expect(logged(error).text.split('"message":"round"')).toHaveLength(7);
    expect(logged('words').err).toBe('words');
  });

  it.skipIf(!hasRedis)('has no password that Redis refuses', async () => {
    const redis = await RedisServer.start('--requirepass', 'the-right-one');
    const client = new Redis(redis.url.replace('://', '://:the-wrong-one@'), { retryStrategy: () => null });
    const [error] = (await once(client, 'error')) as [Error];
    client.disconnect();
    await redis.stop();
    expect(JSON.stringify(error)).toContain('the-wrong-one');
    expect(logged(error).text).not.toContain('the-wrong-one');
    expect(logged(error).err.message).toMatch(/WRONGPASS/);
  });
});
