// Tests of `dpm worker` as a process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Server } from 'dpm-native-server';
import { describe, expect, it, onTestFinished } from 'vitest';

import { packagePath } from '../../../../test/support/temporary.js';
import { until } from '../../../../test/support/until.js';
import { hasRedis, RedisServer } from '../jobs/queue/redis-server.js';

describe.skipIf(!hasRedis)('dpm worker', () => {
  it('takes up the models that its file has on SIGHUP, and gives back those that it has no more', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'worker-'));
    const redis = await RedisServer.start();
    const place = { queue: redis.url, results: pathToFileURL(folder).href };
    const models = ['mnist', 'fashion-mnist'].map((path) => ({ path, device: 'cpu', rows: 2 }));
    const server = await Server.start({ models, port: 0, logLevel: 'silent', ...place });
    onTestFinished(async () => {
      await server.stop();
      await redis.stop();
      await rm(folder, { recursive: true });
    });
    const sent = async (model: string, seed: string): Promise<string> => {
      const body = JSON.stringify({ model, sampler: 'ddim', steps: 1, count: 2, seed });
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${server.url}/v1/jobs`, { method: 'POST', headers, body });
      return ((await answer.json()) as { id: string }).id;
    };
    const stateOf = async (id: string): Promise<string> =>
      ((await (await fetch(`${server.url}/v1/jobs/${id}`)).json()) as { state: string }).state;
    const isDone = (id: string): Promise<void> => until(async () => (await stateOf(id)) === 'done');

    const file = join(folder, 'worker.json');
    await writeFile(file, JSON.stringify({ models: models.slice(0, 1), port: 0, drain: 1000, ...place }));
    const command = packagePath('dist/cli/main.js');
    const worker = spawn(process.execPath, [command, 'worker', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    for (const stream of [worker.stdout, worker.stderr]) stream.on('data', (data) => (log += String(data)));
    const waiting = await sent('fashion-mnist', '1');
    await isDone(await sent('mnist', '1'));
    expect(await stateOf(waiting)).toBe('queued');

    await writeFile(file, JSON.stringify({ models: models.slice(1), port: 0, drain: 1000, ...place }));
    worker.kill('SIGHUP');
    await isDone(waiting);
    await until(() => log.includes('the configuration was read again'));
    const left = await sent('mnist', '2');
    await isDone(await sent('fashion-mnist', '2'));
    expect(await stateOf(left)).toBe('queued');
    worker.kill('SIGTERM');
    expect(await once(worker, 'close')).toEqual([0, null]);
  });
});
