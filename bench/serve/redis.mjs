// A Redis for measurements, as durable as docs/jobs.md asks for, and what it has done since the last look.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';

/** A port that is free now. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a Redis; it has to be stopped. */
export async function startRedis() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'redis-'));
  const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'];
  const args = ['--port', port, '--bind', '127.0.0.1', '--dir', folder, ...durable];
  const running = spawn('redis-server', args.map(String), { stdio: 'ignore' });
  const ended = new Promise((resolve, reject) => {
    running.once('exit', resolve);
    running.once('error', (cause) => reject(new Error('redis-server cannot be started', { cause })));
  });
  ended.catch(() => undefined);
  process.once('exit', () => running.kill('SIGKILL'));
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  await Promise.race([client.ping(), ended]);
  return {
    url,
    watch: () => watch(client),
    async stop() {
      client.disconnect();
      running.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function seconds(client) {
  const text = await client.info('cpu');
  const read = (name) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(text)[1]);
  return read('used_cpu_sys') + read('used_cpu_user');
}

/** Counts from now on; the function that it gives says what Redis has done since then. */
async function watch(client) {
  await client.config('RESETSTAT');
  const [cpu, began] = [await seconds(client), performance.now()];
  return async () => {
    const elapsed = (performance.now() - began) / 1e3;
    const stats = await client.info('commandstats');
    const calls = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, count]) => [name, Number(count)]);
    // Scripts run their own commands, which count beside them.
    const scripts = calls.filter(([name]) => name === 'evalsha' || name === 'eval');
    const sum = (list) => list.reduce((total, [, count]) => total + count, 0);
    return { elapsed, cpu: (await seconds(client)) - cpu, commands: sum(calls), scripts: sum(scripts), calls };
  };
}

/** Waits until something holds. */
export async function until(holds) {
  while (!(await holds())) await sleep(20);
}
