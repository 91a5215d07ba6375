// Tests of places for samples: a folder, and a server that speaks S3.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { optional } from '../../../src/base/optional.js';
import { openResults } from '../../../src/jobs/results/open-results.js';
import type { Results } from '../../../src/jobs/results/results.js';
import { Bucket } from './bucket.js';
import { replaceFile, writeOnce } from '../../../src/jobs/files/write-once.js';

const key = '0123456789ab/cdef/0-64.npy';
const bytes = Buffer.from([1, 2, 3]);

async function keeps(results: Results): Promise<void> {
  expect(await results.has(key)).toBe(false);
  expect(await results.get(key)).toBeUndefined();
  await results.put(key, bytes);
  // The first bytes stay.
  await results.put(key, Buffer.from([4]));
  expect(await results.has(key)).toBe(true);
  expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
}

/** Finds bytes that somebody has changed missing, until they are put again. */
async function noticesDamage(results: Results, damage: () => unknown): Promise<void> {
  await results.put(key, bytes);
  await damage();
  expect(await results.has(key)).toBe(true);
  expect(await results.get(key)).toBeUndefined();
  expect(await results.has(key)).toBe(false);
  await results.put(key, bytes);
  expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'results-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('keeps samples in a folder', async () => {
  const results = await openResults(pathToFileURL(join(folder, 'new', 'place')).href);
  await keeps(results);
  expect(await readdir(join(folder, 'new/place/0123456789ab/cdef'))).toEqual(['0-64.npy', '0-64.npy.sha256']);
  results.close();
});

it('finds samples in a folder missing that are not those that were kept', async () => {
  const place = join(folder, 'damaged');
  const results = await openResults(pathToFileURL(place).href);
  await noticesDamage(results, () => truncate(join(place, key), 2));
  await noticesDamage(results, () => writeFile(join(place, key), Buffer.from([1, 2, 4])));
  // Workers of earlier versions kept no digest.
  await rm(join(place, `${key}.sha256`));
  expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
});

/** Removes samples of which some are gone, and no others. */
async function removes(results: Results, place: string): Promise<void> {
  const keys = ['a', 'b', 'c'].map((name) => `${place}/${name}/0-64.npy`);
  for (const each of [...keys, `${place}/b/64-64.npy`]) await results.put(each, bytes);
  await results.remove([...keys.slice(1), `${place}/never/0-64.npy`]);
  expect(await Promise.all(keys.map((each) => results.has(each)))).toEqual([true, false, false]);
  expect(await results.has(`${place}/b/64-64.npy`)).toBe(true);
  // Another server may have removed them.
  await Promise.all([results.remove(keys), results.remove(keys)]);
}

it('removes samples from a folder, with their digests and the folders that are empty then', async () => {
  const place = join(folder, 'removed');
  const results = await openResults(pathToFileURL(place).href);
  await removes(results, 'm');
  expect(await readdir(join(place, 'm'))).toEqual(['b']);
  expect(await readdir(join(place, 'm/b'))).toEqual(['64-64.npy', '64-64.npy.sha256']);
});

it('removes what it can where something cannot be removed, and says so', async () => {
  const place = join(folder, 'stuck');
  const results = await openResults(pathToFileURL(place).href);
  await results.put('m/b', bytes);
  // A folder is no file.
  await mkdir(join(place, 'm', 'a'));
  await expect(results.remove(['m/a', 'm/b'])).rejects.toThrow();
  expect(await results.has('m/b')).toBe(false);
});

describe('S3', () => {
  const bucket = new Bucket();
  let endpoint: string;
  beforeAll(async () => {
    process.env.AWS_ACCESS_KEY_ID = 'a';
    process.env.AWS_SECRET_ACCESS_KEY = 'b';
    endpoint = await bucket.start();
  });
  afterAll(() => bucket.stop());
  const open = (prefix: string): Promise<Results> =>
    openResults(`s3://samples/${prefix}?endpoint=${endpoint}&region=x`);

  it('keeps samples below a prefix', async () => {
    const results = await open('a/b/');
    await keeps(results);
    expect([...bucket.objects.keys()]).toEqual([`/samples/a/b/${key}`]);
    const whole = await open('');
    await keeps(whole);
    expect([...bucket.objects.keys()]).toContain(`/samples/${key}`);
    results.close();
    whole.close();
  });

  it('finds samples missing that are not those that were kept', async () => {
    const results = await open('damaged');
    const path = `/samples/damaged/${key}`;
    await noticesDamage(results, () => bucket.objects.set(path, bytes.subarray(0, 2)));
    expect(bucket.sums.get(path)).toBe(createHash('sha256').update(bytes).digest('hex'));
    bucket.sums.set(path, undefined);
    expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
    results.close();
  });

  it('ends its client when it is closed', async () => {
    const ending = vi.spyOn(S3Client.prototype, 'destroy');
    onTestFinished(() => {
      ending.mockRestore();
    });
    const results = await open('d');
    expect(ending).not.toHaveBeenCalled();
    results.close();
    expect(ending).toHaveBeenCalledOnce();
  });

  it('removes samples', async () => {
    const results = await open('removed');
    await removes(results, 'm');
    expect([...bucket.objects.keys()].filter((path) => path.includes('/removed/'))).toEqual([
      '/samples/removed/m/b/64-64.npy',
    ]);
    results.close();
  });

  it('says what goes wrong', async () => {
    const results = await open('c');
    bucket.isBroken = true;
    for (const call of [
      () => results.put(key, bytes),
      () => results.get(key),
      () => results.has(key),
      () => results.remove([key]),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_DPM_STORAGE', status: 503 });
    }
    bucket.isBroken = false;
    results.close();
  });

  it('puts bytes again while others write the same object, but not for ever', async () => {
    const results = await open('e');
    bucket.conflicts = 2;
    await results.put(key, bytes);
    expect(Buffer.from((await results.get(key))!)).toEqual(bytes);
    bucket.conflicts = 1000;
    await expect(results.put(key, bytes)).rejects.toMatchObject({ code: 'ERR_DPM_STORAGE' });
    bucket.conflicts = 0;
    results.close();
  });
});

it.each([
  ['ftp://host/folder', 'is no place for samples'],
  ['no url', 'is no place for samples'],
  ['s3://bucket?acl=public', 'acl is no parameter of s3://'],
])('refuses %s', async (url, message) => {
  await expect(openResults(url)).rejects.toMatchObject({
    code: 'ERR_DPM_CONFIG',
    message: expect.stringContaining(message) as string,
  });
});

it('refuses a folder that is none', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(openResults(pathToFileURL(file).href)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
});

it('makes a folder that several want at once', async () => {
  const results = await openResults(pathToFileURL(join(folder, 'many')).href);
  for (let round = 0; round < 20; ++round) {
    const keys = Array.from({ length: 8 }, (_, chunk) => `${round}/below/${chunk}`);
    await Promise.all(keys.map((key) => results.put(key, Buffer.from(key))));
    for (const key of keys) expect(Buffer.from((await results.get(key))!).toString()).toBe(key);
  }
});

it.runIf(process.platform === 'linux')('refuses a folder where a system makes none', async () => {
  await expect(openResults('file:///proc/nowhere/a')).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
});

it('says which package is missing', async () => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
  await expect(optional(() => Promise.reject(missing), 'a queue', 'bullmq ioredis')).rejects.toMatchObject({
    code: 'ERR_DPM_USAGE',
    message: 'a queue takes packages of its own: npm install bullmq ioredis',
  });
  const broken = new Error('broken');
  await expect(optional(() => Promise.reject(broken), 'a', 'b')).rejects.toBe(broken);
});

it('keeps what is written, and its name, on the disk', async () => {
  await using file = await open(join(folder, 'any'), 'w');
  const sync = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'sync');
  onTestFinished(() => {
    sync.mockRestore();
  });
  for (const write of [writeOnce, replaceFile]) {
    sync.mockClear();
    await write(join(folder, write.name), 'x');
    expect(sync).toHaveBeenCalledTimes(2);
  }
});

it('leaves nothing where a file cannot be written', async () => {
  const place = join(folder, 'taken');
  // Writing into a removed folder does not bring it back.
  await expect(writeOnce(join(place, 'inside'), 'x')).rejects.toMatchObject({ code: 'ENOENT' });
  await mkdir(place);
  await writeOnce(join(place, 'inside'), 'x');
  // A folder cannot be replaced by a file.
  await expect(replaceFile(place, 'y')).rejects.toThrow();
  expect(await writeOnce(join(place, 'inside'), 'z')).toBe(false);
  expect(await readdir(place)).toEqual(['inside']);
  expect((await readdir(folder)).filter((name) => name.startsWith('taken'))).toEqual(['taken']);
});
