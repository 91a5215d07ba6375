// Tests that no secret of a server, of any kind, appears in its log.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { newToken } from '../../src/index.js';
import { until } from '../support.js';
import { hasRedis, RedisServer } from './queue/redis-server.js';

const command = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url));
const passwords = {
  first: 'first-redis-secret',
  second: 'second-redis-secret',
  s3: 's3-secret',
  query: 'query-secret',
};
const { token, entry } = newToken('client');
const other = newToken('stranger').token;

/** A `dpm serve` that logs everything. */
class LoudServer {
  output = '';
  readonly #child;
  readonly #ended;

  constructor(...args: string[]) {
    const env = { ...process.env, AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: passwords.s3 };
    const words = [command, 'serve', 'mnist', '--rows', '2', '--port', '0', '--device', 'cpu', '--log-level', 'trace'];
    this.#child = spawn(process.execPath, [...words, ...args], { env });
    this.#ended = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (data) => (this.output += String(data)));
    }
  }

  async url(): Promise<string> {
    await until(() => Promise.resolve(/^serving at \S+$/m.test(this.output)));
    return /^serving at (\S+)$/m.exec(this.output)![1]!;
  }

  async end(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.ended();
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  /** The secrets that its log has. */
  get told(): string[] {
    return [...Object.values(passwords), token, other].filter((secret) => this.output.includes(secret));
  }
}

describe.skipIf(!hasRedis)('the log of a server', () => {
  let folder: string;
  let redis: RedisServer;
  let tokens: string;
  const queue = (password: string, url = redis.url): string => url.replace('://', `://:${password}@`);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secrets-'));
    redis = await RedisServer.start('--requirepass', passwords.first);
    tokens = join(folder, 'tokens.yaml');
    await writeFile(tokens, entry.replace(/scopes: \[[^\]]*\]/, 'scopes: [sample, jobs]'), { mode: 0o600 });
  });
  afterAll(async () => {
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  it('has none of them, whatever goes wrong', async () => {
    const results = pathToFileURL(join(folder, 'results')).href;
    const server = new LoudServer('--queue', queue(passwords.first), '--results', results, '--tokens', tokens);
    const url = await server.url();
    const ask = (path: string, bearer: string, body?: string): Promise<Response> =>
      fetch(url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', cookie: passwords.query },
        ...(body !== undefined && { body }),
      });
    const sample = JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1 });
    const job = JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, count: 4 });
    expect((await ask('/v1/samples', token, sample)).status).toBe(200);
    expect((await ask('/v1/jobs', token, job)).status).toBe(202);
    for (const [path, bearer, body] of [
      ['/v1/samples', other, sample],
      [`/v1/models?token=${passwords.query}`, token],
      [`/v1/nowhere?access_token=${passwords.query}`, token],
      [`/v1/samples?key=${passwords.query}`, token, '{'],
    ] as const) {
      await (await ask(path, bearer, body)).text();
    }
    // The password changes under it, and its connections end.
    const admin = new Redis(queue(passwords.first));
    await admin.config('SET', 'requirepass', passwords.second);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    admin.disconnect();
    await until(() => Promise.resolve(server.output.includes('the queue cannot be reached')));
    await until(async () => (await ask('/v1/jobs', token, job)).status === 503);
    await server.end();
    expect(server.output).toContain('WRONGPASS');
    expect(server.told).toEqual([]);
  });

  it('has none of a queue or results that cannot be used', async () => {
    const file = pathToFileURL(join(folder, 'results')).href;
    const nowhere = `s3://bucket/a?endpoint=http://user:${passwords.s3}@127.0.0.1:1`;
    for (const args of [
      ['--queue', queue(passwords.query), '--results', file],
      ['--queue', queue(passwords.query, 'redis://127.0.0.1:1'), '--results', file],
      ['--queue', queue(passwords.second), '--results', nowhere],
    ]) {
      const server = new LoudServer(...args);
      const ended = server.ended();
      await Promise.race([ended, server.url().then(() => server.end())]);
      await ended;
      expect(server.output).toMatch(/error|serving/);
      expect(server.told).toEqual([]);
    }
  });
});
