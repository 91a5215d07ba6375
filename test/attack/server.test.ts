// Attacks on a server: each gets the answer of a mistake, tells nothing of the machine, and the server goes on as before.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Server } from '../../packages/server/src/index.js';
import {
  ask,
  get,
  metric,
  post,
  raw,
  sample,
  serveDigits,
  writeTokens,
  type Answer,
} from '../../packages/server/test/support.js';
import { imageAttacks, jobAttacks, rawBodies, sampleAttacks } from './server/bodies.js';
import { authorizations, byteAttacks, headerAttacks, pathAttacks } from './server/requests.js';

const spool = mkdtempSync(join(tmpdir(), 'attacked-'));
serveDigits({ spool });

let before: Buffer;
beforeAll(async () => {
  before = (await sample({})).bytes;
});
afterEach(async () => {
  expect((await get('/livez')).status).toBe(200);
});
afterAll(async () => {
  const { json } = await sample({});
  const { images } = JSON.parse(before.toString()) as { images: unknown };
  expect(json.images).toEqual(images);
  expect(await metric('dpm_requests_unfinished')).toBe(0);
  expect(await metric('dpm_samples_resident')).toBe(0);
  expect((await get('/v1/jobs')).json.data).toEqual([]);
  await rm(spool, { recursive: true, force: true });
});

/** Nothing of the machine is in the text of an answer. */
function expectDiscreet(text: string): void {
  expect(text).not.toMatch(/\/tmp\/|node_modules|node:internal|\bat .*\.[jt]s:\d|root:x:|HOME=/);
  expect(text).not.toContain(spool);
  expect(text).not.toContain(process.cwd());
}

function expectRefused(answer: Answer, status: number, param: string | null = null): void {
  const { json } = answer;
  expect(answer.status).toBe(status);
  const told = (json.error ?? json) as { code?: string; param?: string };
  if (param !== null) expect([told.code, told.param]).toEqual(['ERR_DPM_ARGUMENT', param]);
  // A message may quote the request, but not all of a long one.
  expect(answer.bytes.length).toBeLessThan(4000);
  expectDiscreet(answer.bytes.toString());
}

describe('a request for samples', () => {
  it.each(sampleAttacks)('where %s', async (_, fields, param) => {
    expectRefused(await sample(fields as object), 400, param);
  });

  it.each(rawBodies)('of %s', async (_, bytes) => {
    expectRefused(await post('/v1/samples', bytes), 400);
  });

  it.each(headerAttacks)('with %s', async (_, headers, status) => {
    expectRefused(await sample({}, headers), status);
  });
});

describe('a job', () => {
  it.each(jobAttacks)('where %s', async (_, fields, param) => {
    const job = { model: 'mnist', sampler: 'ddim', steps: 1, count: 1, seed: 1 };
    expectRefused(await post('/v1/jobs', { ...job, ...(fields as object) }), 400, param);
  });
});

describe('images as OpenAI has them', () => {
  it.each(imageAttacks)('where %s', async (_, fields, param) => {
    expectRefused(await post('/v1/images/generations', { model: 'mnist', ...(fields as object) }), 400, param);
  });
});

describe('bytes', () => {
  it.each(byteAttacks)('of %s', async (_, bytes, statuses) => {
    const answer = await raw(bytes, 1000);
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))).toEqual(statuses);
    expectDiscreet(answer);
  });
});

describe('a path', () => {
  it.each(pathAttacks)('%s %s', async (method, path, status) => {
    const answer = await raw(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expectDiscreet(answer);
  });
});

describe('a server of tokens', () => {
  let guarded: Server;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tokens-'));
    const tokens = await writeTokens(folder, 'somebody');
    const models = [{ path: 'mnist', device: 'cpu', rows: 1 }];
    guarded = await Server.start({ models, port: 0, logLevel: 'silent', tokens });
  });
  afterAll(async () => {
    await guarded.stop();
    await rm(folder, { recursive: true });
  });

  it.each(authorizations)('takes no request with %s', async (_, authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    const body = { model: 'mnist', sampler: 'ddim', steps: 1 };
    const answer = await ask(guarded, 'POST', '/v1/samples', { headers, body });
    expectRefused(answer, 401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    const right = { authorization: 'Bearer secret' };
    expect((await ask(guarded, 'POST', '/v1/samples', { headers: right, body })).status).toBe(200);
  });
});

it('has had as many attacks as were counted', () => {
  const all = [
    sampleAttacks,
    rawBodies,
    headerAttacks,
    jobAttacks,
    imageAttacks,
    byteAttacks,
    pathAttacks,
    authorizations,
  ];
  expect(all.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(300);
});
