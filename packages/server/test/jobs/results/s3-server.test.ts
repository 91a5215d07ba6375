// Samples in a bucket of a server that really speaks S3: as places for samples, and below a server and a worker of a queue.
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { purgeJobs, Server, type JobView, type ServerConfig } from '../../../src/index.js';
import { openResults } from '../../../src/jobs/results/open-results.js';
import type { Results } from '../../../src/jobs/results/results.js';
import { until } from '../../support.js';
import { hasRedis, RedisServer } from '../queue/redis-server.js';
import { hasS3, S3Server, type AccessKey } from './s3-server.js';

const key = '0123456789ab/cdef/0-64.npy';
const bytes = Buffer.from([1, 2, 3]);

let s3: S3Server;
/** Somebody else who has the bucket. */
let stranger: S3Client;

const urlOf = (bucket: string, path = ''): string => `s3://${bucket}/${path}?endpoint=${s3.endpoint}&region=us-east-1`;

function use({ accessKeyId, secretAccessKey }: AccessKey): void {
  vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey);
}

async function open(bucket: string, path = ''): Promise<Results> {
  const results = await openResults(urlOf(bucket, path));
  onTestFinished(() => {
    results.close();
  });
  return results;
}

async function keysIn(bucket: string): Promise<string[]> {
  const { Contents = [] } = await stranger.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

/** Removes objects as a rule of the bucket does. */
async function expire(bucket: string, keys: readonly string[]): Promise<void> {
  const Objects = keys.map((Key) => ({ Key }));
  await stranger.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
}

/** Changes the bytes of an object and leaves what is said of it. */
async function damage(bucket: string, Key: string): Promise<void> {
  const { Body, Metadata } = await stranger.send(new GetObjectCommand({ Bucket: bucket, Key }));
  const changed = await Body!.transformToByteArray();
  changed[changed.length - 1]! ^= 1;
  await stranger.send(new PutObjectCommand({ Bucket: bucket, Key, Body: changed, Metadata }));
}

if (!hasS3) {
  it('a bucket', ({ skip }) => {
    skip('skipped: no S3 server (scripts/setup --server)');
  });
}

describe.skipIf(!hasS3)('a bucket', () => {
  beforeAll(async () => {
    s3 = await S3Server.start();
    const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
    stranger = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    for (const Bucket of ['samples', 'versions', 'jobs']) await stranger.send(new CreateBucketCommand({ Bucket }));
  });
  beforeEach(() => {
    use({ accessKeyId: 'any', secretAccessKey: 'any' });
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    stranger.destroy();
    await s3.stop();
  });

  it('keeps the first bytes of a key below a prefix, with their digest', async () => {
    const results = await open('samples', 'a/b/');
    expect(await results.has(key)).toBe(false);
    expect(await results.get(key)).toBeUndefined();
    await Promise.all([results.put(key, bytes), results.put(key, bytes)]);
    await results.put(key, Buffer.from([4]));
    expect(await results.has(key)).toBe(true);
    expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
    expect(await keysIn('samples')).toEqual([`a/b/${key}`]);
    const { Metadata } = await stranger.send(new GetObjectCommand({ Bucket: 'samples', Key: `a/b/${key}` }));
    // What sha256sum says of them.
    expect(Metadata).toEqual({ sha256: '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81' });
  });

  it('keeps large and empty samples, and names with other letters', async () => {
    const results = await open('samples', 'größe & form+1');
    const large = Buffer.alloc(20 << 20, 'sample');
    for (const [name, body] of [
      ['large.npy', large],
      ['empty.npy', Buffer.alloc(0)],
    ] as const) {
      await results.put(name, body);
      expect(Buffer.compare((await results.get(name))!, body)).toBe(0);
    }
    expect(await results.has('other.npy')).toBe(false);
  });

  it('finds bytes missing that somebody has changed, until they are put again', async () => {
    const results = await open('samples', 'changed');
    await results.put(key, bytes);
    await damage('samples', `changed/${key}`);
    expect(await results.has(key)).toBe(true);
    expect(await results.get(key)).toBeUndefined();
    expect(await results.has(key)).toBe(false);
    await results.put(key, bytes);
    expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
  });

  it('puts again what a rule has removed, also where a bucket keeps versions', async () => {
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await stranger.send(new PutBucketVersioningCommand({ Bucket: 'versions', VersioningConfiguration }));
    const results = await open('versions');
    for (let round = 0; round < 2; ++round) {
      await results.put(key, bytes);
      expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
      await expire('versions', [key]);
      expect(await results.has(key)).toBe(false);
      expect(await results.get(key)).toBeUndefined();
    }
  });

  it('removes what it is told to, where that is there, and nothing else', async () => {
    const results = await open('samples', 'removed');
    const keys = Array.from({ length: 40 }, (_, index) => `d/h/${index}-1.npy`);
    for (const each of keys) await results.put(each, bytes);
    await results.remove([...keys.slice(1), 'd/h/none.npy']);
    expect((await keysIn('samples')).filter((each) => each.startsWith('removed/'))).toEqual([`removed/${keys[0]}`]);
  });

  it('has to be there in the beginning', async () => {
    await expect(open('nowhere')).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: 'results s3://nowhere cannot be used: there is no bucket of this name',
    });
    await expect(openResults('s3://samples?endpoint=http://127.0.0.1:1&region=us-east-1')).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: 'results s3://samples cannot be used: ECONNREFUSED',
    });
  });

  describe('whose server looks at credentials', () => {
    const resources = ['arn:aws:s3:::samples', 'arn:aws:s3:::samples/*'];
    let known: AccessKey;
    let writer: AccessKey;
    beforeAll(async () => {
      known = await s3.addUser('known', { Effect: 'Allow', Action: 's3:*', Resource: resources });
      const Action = ['s3:GetObject', 's3:PutObject'];
      writer = await s3.addUser('writer', { Effect: 'Allow', Action, Resource: resources });
      await s3.check(true);
    });
    afterAll(() => s3.check(false));

    it('takes those of a user who may use it', async () => {
      use(known);
      const results = await open('samples', 'known');
      await results.put(key, bytes);
      expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
    });

    it.each([
      ['of nobody', () => ({ accessKeyId: 'nobody', secretAccessKey: 'any' })],
      ['with another secret', () => ({ ...known, secretAccessKey: 'another' })],
      ['of a user who may not list', () => writer],
    ])('refuses those %s in the beginning', async (_, credentials) => {
      use(credentials());
      await expect(open('samples')).rejects.toMatchObject({
        code: 'ERR_DPM_CONFIG',
        message:
          'results s3://samples cannot be used: the credentials are wrong or lack s3:ListBucket, ' +
          'without which S3 does not say what is missing',
      });
    });

    it('says later, too, that they are refused', async () => {
      await s3.check(false);
      use({ accessKeyId: 'nobody', secretAccessKey: 'any' });
      const results = await open('samples');
      await s3.check(true);
      for (const call of [() => results.put(key, bytes), () => results.get(key), () => results.has(key)]) {
        await expect(call()).rejects.toMatchObject({
          code: 'ERR_DPM_STORAGE',
          status: 503,
          message: expect.stringContaining('the samples in the bucket samples cannot be reached: ') as string,
        });
      }
    });
  });

  describe.skipIf(!hasRedis)('below a server and a worker', () => {
    let redis: RedisServer;
    let server: Server;
    let worker: Server;
    beforeAll(async () => {
      use({ accessKeyId: 'any', secretAccessKey: 'any' });
      redis = await RedisServer.start();
      const models = [{ path: 'mnist', device: 'cpu', rows: 4 }];
      const place = { queue: redis.url, results: urlOf('jobs', 'below') };
      const config: ServerConfig = { models, port: 0, logLevel: 'silent', ...place };
      server = await Server.start(config);
      worker = await Server.work(config);
    });
    afterAll(async () => {
      for (const each of [worker, server, redis]) await each.stop();
    });

    const view = async ({ id }: JobView): Promise<JobView> =>
      (await (await fetch(`${server.url}/v1/jobs/${id}`)).json()) as JobView;
    const isDone = async (job: JobView): Promise<boolean> => (await view(job)).state === 'done';
    const sent = async (more: object): Promise<JobView> => {
      const body = { model: 'mnist', sampler: 'ddim', steps: 2, count: 6, chunk: 2, ...more };
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${server.url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(body) });
      return (await answer.json()) as JobView;
    };
    const drawn = async (more: object): Promise<JobView> => {
      const job = await sent(more);
      await until(() => isDone(job));
      return job;
    };
    const retry = (job: JobView): Promise<Response> =>
      fetch(`${server.url}/v1/jobs/${job.id}/retry`, { method: 'POST' });
    const chunk = async (job: JobView, index: number): Promise<Buffer | number> => {
      const answer = await fetch(`${server.url}/v1/jobs/${job.id}/chunks/${index}`);
      const body = Buffer.from(await answer.arrayBuffer());
      return answer.ok ? body : answer.status;
    };
    const chunks = (job: JobView): Promise<(Buffer | number)[]> =>
      Promise.all([0, 1, 2].map((index) => chunk(job, index)));
    /** How often the worker has drawn a chunk, or failed to. */
    const chunksSoFar = async (outcome: 'done' | 'failed'): Promise<number> => {
      const metrics = await (await fetch(`${worker.url}/metrics`)).text();
      return Number(new RegExp(`^dpm_chunks_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0);
    };
    const drawnSoFar = (): Promise<number> => chunksSoFar('done');
    /** The keys of a job's chunks, in their order. */
    const keysOf = async (seen: readonly string[]): Promise<string[]> =>
      (await keysIn('jobs')).filter((each) => !seen.includes(each)).sort();

    it('has each chunk of a job as an object, and gives its images', async () => {
      const job = await drawn({ seed: '1' });
      const answer = await fetch(`${server.url}/v1/samples`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/x-npy' },
        body: JSON.stringify({ model: 'mnist', sampler: 'ddim', steps: 2, seed: '1', first: 2, count: 2 }),
      });
      expect(await chunk(job, 1)).toEqual(Buffer.from(await answer.arrayBuffer()));
      const keys = await keysOf([]);
      expect(keys.map((each) => /^below\/[0-9a-f]+\/[0-9a-f]+\/(.*)$/.exec(each)?.[1])).toEqual([
        '0-2.npy',
        '2-2.npy',
        '4-2.npy',
      ]);
      const image = await fetch(`${server.url}/v1/jobs/${job.id}/images/5`);
      expect([image.status, image.headers.get('content-type')]).toEqual([200, 'image/png']);
    });

    it('says that samples have been removed or changed, and draws these alone again', async () => {
      const seen = await keysIn('jobs');
      const job = await drawn({ seed: '2' });
      const whole = await chunks(job);
      expect(whole.map((each) => typeof each)).toEqual(['object', 'object', 'object']);
      const [removed = '', changed = ''] = await keysOf(seen);
      await expire('jobs', [removed]);
      await damage('jobs', changed);
      const before = await drawnSoFar();
      expect(await chunks(job)).toEqual([410, 410, whole[2]]);
      expect((await retry(job)).status).toBe(200);
      await until(() => isDone(job));
      expect(await chunks(job)).toEqual(whole);
      expect(await drawnSoFar()).toBe(before + 2);
    });

    it('answers that samples cannot be reached while the bucket refuses', async () => {
      const job = await drawn({ seed: '5' });
      await s3.check(true);
      onTestFinished(() => s3.check(false));
      const answer = await fetch(`${server.url}/v1/jobs/${job.id}/chunks/0`);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
      expect(await answer.json()).toMatchObject({
        code: 'ERR_DPM_STORAGE',
        detail: 'the samples in the bucket jobs cannot be reached: InvalidAccessKeyId',
      });
      await s3.check(false);
      expect(await chunk(job, 0)).toBeInstanceOf(Buffer);
    });

    it('waits for a bucket that refuses for a while, and fails no chunk', async () => {
      const before = await drawnSoFar();
      await s3.check(true);
      onTestFinished(() => s3.check(false));
      const refused = vi.spyOn(S3Client.prototype, 'send');
      onTestFinished(() => {
        refused.mockRestore();
      });
      const job = await sent({ seed: '6' });
      // The first chunk was tried twice.
      await until(() => refused.mock.calls.length > 1);
      expect(await view(job)).toMatchObject({ state: 'running', done: 0, failedChunks: [] });
      await s3.check(false);
      await until(() => isDone(job));
      expect(await chunksSoFar('failed')).toBe(0);
      expect(await drawnSoFar()).toBe(before + 3);
    });

    it('draws nothing that is there already for another job', async () => {
      const first = await drawn({ seed: '3' });
      const before = await drawnSoFar();
      const second = await drawn({ seed: '3' });
      expect(second.id).not.toBe(first.id);
      expect(await chunks(second)).toEqual(await chunks(first));
      expect(await drawnSoFar()).toBe(before);
    });

    it('finds out which of many chunks a rule has removed', async () => {
      const seen = await keysIn('jobs');
      const job = await drawn({ seed: '4', count: 40, chunk: 1, steps: 1 });
      const gone = (await keysOf(seen)).filter((_, index) => index % 2 === 0);
      expect(gone).toHaveLength(20);
      await expire('jobs', gone);
      const before = await drawnSoFar();
      await retry(job);
      await until(() => isDone(job));
      expect(await drawnSoFar()).toBe(before + 20);
      expect(await keysOf(seen)).toHaveLength(40);
    });

    it('has no samples of jobs that are forgotten', async () => {
      const seen = await keysIn('jobs');
      await drawn({ seed: '9' });
      expect(await keysOf(seen)).toHaveLength(3);
      expect(await purgeJobs({ queue: redis.url, results: urlOf('jobs', 'below') })).toBeGreaterThan(0);
      expect(await keysIn('jobs')).toEqual([]);
    });
  });
});
