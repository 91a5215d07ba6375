// Tokens: who may do what, and how often.
import { createHash } from 'node:crypto';
import type * as FileSystem from 'node:fs/promises';
import { chmod, mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { newToken, Server } from '../../src/index.js';
import { isOpenToOthers, Tokens } from '../../src/http/tokens.js';
import { ask as askServer, expectProblem, type Answer } from '../support.js';

// Calls of the file system are counted.
vi.mock('node:fs/promises', async (original) => {
  const files = await original<typeof FileSystem>();
  return { ...files, stat: vi.fn(files.stat) };
});

let folder: string;
let path: string;
let server: Server;

const entry = (name: string, more: string): string =>
  `- { name: ${name}, sha256: ${createHash('sha256').update(`${name}-token`).digest('hex')}, ${more} }\n`;
const listed =
  entry('plain', 'scopes: [sample]') +
  entry('rare', 'scopes: [sample], requestsPerMinute: 2') +
  entry('urgent', 'scopes: [sample, priority, metrics], weight: 3');

async function put(text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  // The clock of the file system may stand still between two writes.
  await utimes(path, new Date(), new Date(Date.now() + ++puts * 1000));
}
let puts = 0;
/** Waits until the server looks at the file again. */
const lookAgain = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1050));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokens-'));
  path = join(folder, 'tokens.yaml');
  await put(listed);
  const models = [{ path: 'mnist', device: 'cpu', rows: 2 }];
  server = await Server.start({ models, port: 0, tokens: path, logLevel: 'silent' });
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const ask = (method: string, url: string, token?: string, body?: object): Promise<Answer> =>
  askServer(server, method, url, {
    body,
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
  });
const draw = (token: string | undefined, more: object = {}): Promise<Answer> =>
  ask('POST', '/v1/samples', token, { model: 'mnist', sampler: 'ddim', steps: 1, ...more });

describe('a client', () => {
  it('without a token that is known is nobody', async () => {
    for (const token of [undefined, 'plain', 'plain-token2', '']) {
      const answer = await draw(token);
      expectProblem(answer, 401, 'ERR_DPM_UNAUTHORIZED');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    expectProblem(await ask('GET', '/v1/models'), 401, 'ERR_DPM_UNAUTHORIZED');
    expect((await draw('plain-token')).status).toBe(200);
  });

  it('may look whether the server lives', async () => {
    for (const url of ['/livez', '/readyz', '/openapi.json']) expect((await ask('GET', url)).status).toBe(200);
  });

  it('may do what its token says', async () => {
    const refused = await draw('plain-token', { priority: 'high' });
    expectProblem(refused, 403, 'ERR_DPM_FORBIDDEN');
    expect(refused.json.param).toBe('priority');
    expect((await draw('urgent-token', { priority: 'high' })).status).toBe(200);
    expectProblem(await ask('GET', '/metrics', 'plain-token'), 403, 'ERR_DPM_FORBIDDEN');
    expect((await ask('GET', '/metrics', 'urgent-token')).status).toBe(200);
  });

  it('asks as often as it may', async () => {
    expect((await draw('rare-token')).status).toBe(200);
    expect((await draw('rare-token')).status).toBe(200);
    const refused = await draw('rare-token');
    expectProblem(refused, 429, 'ERR_DPM_RATE');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    // Seconds of a minute.
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect((await draw('plain-token')).status).toBe(200);
  });

  it('is told when its token comes or goes', async () => {
    await put(listed + entry('late', 'scopes: [sample]'));
    await lookAgain();
    expect((await draw('late-token')).status).toBe(200);
    // A wrong file leaves the tokens as they were, and so does none.
    await put('- { name: late');
    await lookAgain();
    expect((await draw('late-token')).status).toBe(200);
    await rm(path);
    await lookAgain();
    expect((await draw('late-token')).status).toBe(200);
    await put(listed);
    await lookAgain();
    expectProblem(await draw('late-token'), 401, 'ERR_DPM_UNAUTHORIZED');
  });

  it('does not make the server look at the file at every request', async () => {
    vi.mocked(stat).mockClear();
    const began = performance.now();
    for (let i = 0; i < 50; ++i) expect((await ask('GET', '/v1/models', 'urgent-token')).status).toBe(200);
    const seconds = (performance.now() - began) / 1000;
    const looks = vi.mocked(stat).mock.calls.filter(([looked]) => looked === path);
    expect(looks.length).toBeLessThanOrEqual(1 + Math.ceil(seconds));
  });
});

describe('a file of tokens', () => {
  it.each<[string, string, RegExp]>([
    ['no list', 'name: a', /the tokens .*: all of it must be array/],
    ['no hash', '- { name: a, scopes: [] }', /0\/sha256 is missing/],
    ['a token in the place of its hash', '- { name: a, sha256: abc, scopes: [] }', /0\/sha256/],
    ['an unknown scope', entry('a', 'scopes: [root]'), /0\/scopes\/0/],
    ['a field that is none', entry('a', 'scopes: [], admin: true'), /0\/admin is not a known field/],
    ['a name twice', entry('a', 'scopes: []') + entry('a', 'scopes: []'), /have a name twice/],
  ])('is refused with %s', async (_, text, message) => {
    const wrong = join(folder, 'wrong.yaml');
    await writeFile(wrong, text, { mode: 0o600 });
    await expect(Tokens.open(wrong)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([0o644, 0o640, 0o620, 0o604, 0o602, 0o610, 0o601])('is for its owner alone, not %o', async (mode) => {
    const open = join(folder, 'open.yaml');
    await writeFile(open, listed);
    await chmod(open, mode);
    await expect(Tokens.open(open)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringMatching(/others may read/) as string,
    });
  });

  it.skipIf(process.platform === 'win32')("may be root's and read by the group of its user", () => {
    const openModes = (uid: number): number[] =>
      [0o400, 0o440, 0o600, 0o640, 0o620, 0o650, 0o644, 0o602, 0o601].filter((mode) => isOpenToOthers({ uid, mode }));
    const user = vi.spyOn(process, 'getuid').mockReturnValue(1000);
    onTestFinished(() => {
      user.mockRestore();
    });
    expect(openModes(0)).toEqual([0o620, 0o650, 0o644, 0o602, 0o601]);
    expect(openModes(1000)).toEqual([0o440, 0o640, 0o620, 0o650, 0o644, 0o602, 0o601]);
    user.mockReturnValue(0);
    expect(openModes(0)).toEqual(openModes(1000));
  });

  it('has to be there', async () => {
    await expect(Tokens.open(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });

  it('is read again where an older one takes its place', async () => {
    const kept = join(folder, 'kept.yaml');
    const write = async (name: string, seconds: number): Promise<void> => {
      await writeFile(kept, entry(name, 'scopes: []'), { mode: 0o600 });
      await utimes(kept, seconds, seconds);
    };
    await write('newer', 2000);
    const tokens = await Tokens.open(kept);
    await write('older', 1000);
    await lookAgain();
    await tokens.refresh();
    expect(tokens.find('newer-token')).toBeUndefined();
    expect(tokens.find('older-token')).toMatchObject({ name: 'older' });
  });

  it('takes what is made for it', async () => {
    const { token, entry: line } = newToken('new');
    expect(token).toHaveLength(43);
    expect(newToken('new').token).not.toBe(token);
    const made = join(folder, 'made.yaml');
    await writeFile(made, line, { mode: 0o600 });
    const tokens = await Tokens.open(made);
    expect(tokens.find(token)).toMatchObject({ name: 'new', weight: 1, requestsPerMinute: 600 });
    expect(tokens.find(`${token}x`)).toBeUndefined();
    expect(line).not.toContain(token);
  });
});
