// Tests of a worker of another version beside those of this one, as there is while versions are rolled out.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { libraryVersion } from '../../src/base/version.js';
import { Server, type ServerConfig } from '../../src/index.js';
import { BullmqStore } from '../../src/jobs/queue/bullmq-store.js';
import { until } from '../support.js';
import { hasRedis, RedisServer } from './queue/redis-server.js';

// Everything that is opened here is of the next version.
vi.mock('../../src/base/version.js', () => ({ version: '9.9.9', libraryVersion: '9.9.9' }));

describe.skipIf(!hasRedis)('a worker of the next version', () => {
  it('draws what its own version may draw and what any may, and leaves the rest to this one', async () => {
    expect(libraryVersion).toBe('9.9.9');
    const folder = mkdtempSync(join(tmpdir(), 'results-'));
    const redis = await RedisServer.start();
    const place = { queue: redis.url, results: pathToFileURL(folder).href };
    const models = [{ path: 'mnist', device: 'cpu', rows: 2 }];
    const config: ServerConfig = { models, port: 0, logLevel: 'silent', ...place };
    const [server, worker] = [await Server.start(config), await Server.work(config)];
    const store = await BullmqStore.open({ ...place, keep: 60_000, onError: () => undefined });
    onTestFinished(async () => {
      await worker.stop();
      await server.stop();
      await store.close();
      await redis.stop();
      rmSync(folder, { recursive: true });
    });
    const sent = async (more: object): Promise<string> => {
      const body = JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 1, count: 2, seed: '1', ...more });
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${server.url}/v1/jobs`, { method: 'POST', headers, body });
      return ((await answer.json()) as { id: string }).id;
    };
    const stateOf = async (id: string): Promise<string> => (await store.get(id))!.state;
    const isDone = (id: string): Promise<void> => until(async () => (await stateOf(id)) === 'done');
    const next = await sent({});
    await isDone(next);
    const { job } = (await store.get(next))!;
    expect(job.engine).toMatch(/-9\.9\.9$/);
    const before = { ...job, id: '00000000-0000-4000-8000-000000000001', engine: job.engine.replace('9.9.9', '0.1.0') };
    await store.add(before);
    const changed = { ...job, id: '00000000-0000-4000-8000-000000000002', digest: 'ab'.repeat(32), engine: 'any' };
    await store.add(changed);
    await isDone(await sent({ engine: 'any', seed: '2' }));
    await isDone(await sent({ seed: '3' }));
    // Files that differ are another model, whatever its id.
    expect([await stateOf(before.id), await stateOf(changed.id)]).toEqual(['queued', 'queued']);
  });
});
