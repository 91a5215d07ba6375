// Tests of models that come and go while the server runs.
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { DiffusionModel, DpmError } from 'dpm-native';

import { settingsOf } from '../../src/config/config.js';
import { loadOptions } from '../../src/config/load-options.js';
import { Server } from '../../src/index.js';
import { Registry } from '../../src/models/registry.js';
import { reasonsAgainst } from '../../src/http/routes/probes.js';
import { leastBytes } from '../../src/models/weight-bytes.js';
import { ask as askServer, type Answer, expectProblem, until, untilDraws } from '../support.js';

const digits = fileURLToPath(new URL('../../../../models/mnist', import.meta.url));
let root: string;
let server: Server;
let small: Server;

/** Bytes of the bundled model. A server with a budget has room for one and a half of it. */
let bytes: number;

const headers = { authorization: 'Bearer secret' };
const ask = (method: string, path: string, body?: object, to = server): Promise<Answer> =>
  askServer(to, method, path, { body, headers });
const draw = (model: string, more: object = {}, to = server) =>
  ask('POST', '/v1/samples', { model, sampler: 'ddim', steps: 5, seed: 1, ...more }, to);
const put = (id: string, body: object, to = server) =>
  ask('PUT', `/v1/models/${id}`, { device: 'cpu', rows: 2, ...body }, to);
const digest = async (id: string, to = server) => (await ask('GET', `/v1/models/${id}`, undefined, to)).json.digest;

/** A copy of the digits whose digest is another. */
async function copy(name: string): Promise<string> {
  const folder = join(root, name);
  await cp(digits, folder, { recursive: true });
  await writeFile(join(folder, 'note.json'), JSON.stringify({ name }));
  return folder;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-'));
  const tokens = join(root, 'tokens.yaml');
  const sha256 = createHash('sha256').update('secret').digest('hex');
  await writeFile(
    tokens,
    `- { name: me, sha256: ${sha256}, scopes: [sample, admin, metrics], requestsPerMinute: 100000 }`,
    {
      mode: 0o600,
    },
  );
  const common = { port: 0, tokens, modelRoots: [root], logLevel: 'silent' as const };
  const model = { path: digits, device: 'cpu', rows: 2 };
  server = await Server.start({ ...common, models: [{ id: 'digits', ...model }] });
  await using measured = await DiffusionModel.load(digits, { device: 'cpu' });
  await using _ = await measured.batcher({ rows: 2 });
  const { host, device } = measured.memory();
  bytes = host + device;
  const memory = 2.5 * bytes;
  small = await Server.start({
    ...common,
    memory,
    models: [
      { id: 'pinned', pinned: true, ...model },
      { id: 'idle', ...model },
    ],
  });
});
afterAll(async () => {
  await Promise.all([server.stop(), small.stop()]);
  await rm(root, { recursive: true });
});

describe('a model', () => {
  it('in the place of another is not what was asked under a key', async () => {
    const drawn = () => {
      const body = { model: 'keyed', sampler: 'ddim', steps: 2, seed: 1 };
      return askServer(server, 'POST', '/v1/samples', { body, headers: { ...headers, 'idempotency-key': 'one' } });
    };
    await put('keyed', { path: await copy('unkeyed') });
    expect([(await drawn()).status, (await drawn()).status]).toEqual([200, 200]);
    await put('keyed', { path: await copy('keyed') });
    expectProblem(await drawn(), 422, 'ERR_DPM_IDEMPOTENCY');
    await ask('DELETE', '/v1/models/keyed');
  });

  it('comes, takes requests, and goes', async () => {
    const added = await put('new', { path: await copy('new'), labels: ['a'] });
    expect(added.status).toBe(200);
    expect(added.json).toMatchObject({ id: 'new', shape: [1, 28, 28], labels: ['a'], batcher: { rows: 2 } });
    expect(added.json.digest).not.toBe(await digest('digits'));
    expect((await draw('new')).json.images).toEqual((await draw('digits')).json.images);
    const running = draw('new', { sampler: 'ddpm', steps: 300 });
    await untilDraws(server, headers);
    expect((await ask('DELETE', '/v1/models/new')).status).toBe(204);
    expect((await draw('new')).status).toBe(404);
    expect((await ask('DELETE', '/v1/models/new')).status).toBe(404);
    expect(await running).toMatchObject({ status: 200, json: { evaluations: 300 } });
  });

  it('is replaced without a request that fails', async () => {
    const before = await digest('digits');
    const seen: unknown[] = [];
    let isDone = false;
    const clients = Array.from({ length: 4 }, async (_, seed) => {
      while (!isDone) {
        const { status, json } = await draw('digits', { seed, steps: 3 });
        expect([status, json.code]).toEqual([200, undefined]);
        seen.push(json.digest);
      }
    });
    await until(() => seen.length > 0);
    const replaced = await put('digits', { path: await copy('other') });
    const after = replaced.json.digest;
    while (seen.filter((each) => each === after).length < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    isDone = true;
    await Promise.all(clients);
    expect(new Set(seen)).toEqual(new Set([before, after]));
    expect(seen.slice(-4)).toEqual([after, after, after, after]);
    expect(await digest('digits')).toBe(after);
  });

  it('that is broken leaves the one before', async () => {
    const before = await digest('digits');
    const broken = await copy('broken');
    await truncate(join(broken, 'unet/diffusion_pytorch_model.safetensors'), 1000);
    const refused = await put('digits', { path: broken });
    expect([refused.status, refused.json.code]).toEqual([422, 'ERR_DPM_FILE_TRUNCATED']);
    await writeFile(join(broken, 'unet/config.json'), '{');
    expect((await put('digits', { path: broken })).json.code).toBe('ERR_DPM_CONFIG');
    expect((await put('digits', { path: join(root, 'other'), threads: -1 })).status).toBe(400);
    for (const field of ['id', 'config']) {
      expect((await put('digits', { path: join(root, 'other'), [field]: 'x' })).json.param).toBe(field);
    }
    expect((await put('a%2Fb', { path: join(root, 'other') })).status).toBe(400);
    expect(await digest('digits')).toBe(before);
    expect((await draw('digits')).status).toBe(200);
  });

  it('comes from the folders that it may come from alone', async () => {
    const before = await digest('digits');
    await symlink(digits, join(root, 'link'));
    for (const path of [
      digits,
      join(root, '../..'),
      join(root, 'nowhere'),
      join(root, 'link'),
      `${root}-else`,
      'mnist',
    ]) {
      const refused = await put('digits', { path });
      expect([path, refused.status, refused.json.code]).toEqual([path, 403, 'ERR_DPM_FORBIDDEN']);
    }
    expect(await digest('digits')).toBe(before);
  });

  it('has no links that lead out of those folders', async () => {
    const inside = await copy('linked');
    const weights = 'unet/diffusion_pytorch_model.safetensors';
    // The cache of Hugging Face's hub has such links, from names to files beside them.
    await mkdir(join(root, 'blobs'));
    await rename(join(inside, weights), join(root, 'blobs/weights'));
    await symlink('../../blobs/weights', join(inside, weights));
    expect((await put('linked', { path: inside })).status).toBe(200);
    const leading = async (name: string, target: string): Promise<unknown> => {
      const link = join(inside, name);
      await rm(link, { force: true });
      await symlink(target, link);
      const refused = await put('linked', { path: inside });
      await rm(link);
      return [refused.status, refused.json.code, refused.json.param];
    };
    const forbidden = [403, 'ERR_DPM_FORBIDDEN', 'path'];
    expect(await leading('gamma.json', join(digits, 'gamma.json'))).toEqual(forbidden);
    expect(await leading('heads/more', digits)).toEqual(forbidden);
    expect(await leading('gamma.json', join(root, 'nowhere'))).toEqual(forbidden);
    // This link makes a circle, which has no end.
    expect(await leading('around', '.')).toEqual(forbidden);
    expect(await leading('gamma.json', join(root, 'new/gamma.json'))).toEqual([200, undefined, undefined]);
    await mkdir(join(inside, '.git'));
    await symlink('/', join(inside, '.git/root'));
    expect((await put('linked', { path: inside })).status).toBe(200);
    expect((await ask('DELETE', '/v1/models/linked')).status).toBe(204);
  });

  it('is changed by nobody without a token for it', async () => {
    await using open = await Server.start({
      models: [{ path: 'mnist', device: 'cpu', rows: 1 }],
      port: 0,
      logLevel: 'silent',
      modelRoots: [root],
    });
    expect((await put('mnist', { path: join(root, 'other') }, open)).status).toBe(403);
    expect((await ask('DELETE', '/v1/models/mnist', undefined, open)).status).toBe(403);
  });
});

describe('the end of a server', () => {
  const start = () =>
    Server.start({
      models: [{ id: 'digits', path: digits, device: 'cpu', rows: 2 }],
      port: 0,
      drain: 200,
      modelRoots: [root],
      tokens: join(root, 'tokens.yaml'),
      logLevel: 'silent',
    });

  it('cuts what a model that was replaced has to do, too', async () => {
    const ending = await start();
    const running = draw('digits', { sampler: 'ddpm', steps: 1000, count: 8 }, ending);
    await untilDraws(ending, headers);
    expect((await put('digits', { path: join(root, 'other') }, ending)).status).toBe(200);
    expect(await ending.stop()).toBe(false);
    expect((await running).status).toBe(503);
  });

  it('comes to a model that is being loaded', async () => {
    const ending = await start();
    const put_ = put('late', { path: join(root, 'other'), rows: 'auto' }, ending).catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await ending.stop();
    const answer = await put_;
    // The request is refused, or its connection ends with the server.
    if (answer !== null) expect(answer.status).toBe(503);
  });
});

describe('a model whose card has failed', () => {
  it('is told of by the probes', async () => {
    const registry = await Registry.open(settingsOf({ models: [{ path: digits, device: 'cpu', rows: 1 }] }));
    const state = { isDraining: false, open: 0 };
    const reasons = () => reasonsAgainst({ registry, state });
    const served = registry.get('mnist');
    registry.noteError(served, new DpmError('ERR_DPM_OVERLOADED', 'later'));
    expect(reasons()).toEqual([]);
    registry.noteError(served, new DpmError('ERR_DPM_DEVICE', 'gone'));
    expect(reasons()).toEqual(['the card of mnist has failed']);
    await registry.close();
  });
});

describe('a registry that is closed', () => {
  it('waits for what is being loaded, which it refuses', async () => {
    const registry = await Registry.open(settingsOf({ models: [{ path: digits, device: 'cpu', rows: 1 }] }));
    const original = DiffusionModel.load.bind(DiffusionModel);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const load = vi.spyOn(DiffusionModel, 'load').mockImplementation(async (...given) => {
      await held;
      return original(...given);
    });
    const code = registry
      .put('late', { path: digits, device: 'cpu', rows: 1 })
      .catch((error: unknown) => (error as DpmError).code);
    await until(() => load.mock.calls.length > 0);
    let isRefused = false;
    void code.then(() => (isRefused = true));
    const closed = registry.close();
    release();
    await closed;
    load.mockRestore();
    expect(isRefused).toBe(true);
    expect(await code).toMatch(/^ERR_DPM_(CLOSED|DRAINING)$/);
  });
});

describe('how requests share batches', () => {
  it.each([
    [true, 'one'],
    [false, 'fit'],
  ])('follows the configuration: deterministic is %s', async (deterministic, sizes) => {
    const opened = vi.spyOn(DiffusionModel.prototype, 'batcher');
    const model = { path: digits, device: 'cpu', rows: 1 };
    const models = [model, { ...model, id: 'patient', maxWait: 7, rows: 2 }];
    const registry = await Registry.open(settingsOf({ models, deterministic, maxWait: 9 }));
    const given = opened.mock.calls.map(([options]) => options);
    opened.mockRestore();
    await registry.close();
    expect(given).toEqual(
      expect.arrayContaining([
        { rows: 1, maxWait: 9, sizes },
        { rows: 2, maxWait: 7, sizes },
      ]),
    );
    expect(given).toHaveLength(2);
  });
});

describe('a budget of memory', () => {
  it('is kept, and what is refused changes nothing', async () => {
    const path = await copy('third');
    const refused = await put('third', { path }, small);
    expect([refused.status, refused.json.code]).toEqual([507, 'ERR_DPM_OUT_OF_MEMORY']);
    const ids = async () =>
      ((await ask('GET', '/v1/models', undefined, small)).json.data as { id: string }[]).map(({ id }) => id);
    expect(await ids()).toEqual(['pinned', 'idle']);
    // A working model is not dropped, and a pinned one never is.
    const running = draw('idle', { sampler: 'ddpm', steps: 500 }, small);
    await untilDraws(small, headers);
    expect((await put('third', { path, evict: true }, small)).status).toBe(507);
    expect((await running).status).toBe(200);
    expect((await put('third', { path, evict: true }, small)).status).toBe(200);
    expect(await ids()).toEqual(['pinned', 'third']);
    const metrics = (await ask('GET', '/metrics', undefined, small)).bytes.toString();
    expect(metrics).toContain('dpm_backlog_seconds{model="third"}');
    expect(metrics).not.toContain('dpm_backlog_seconds{model="idle"}');
    expect((await draw('third', {}, small)).status).toBe(200);
    expect((await draw('idle', {}, small)).status).toBe(404);
  });

  it('is not exceeded by what is loaded in vain', async () => {
    const load = vi.spyOn(DiffusionModel, 'load');
    const path = join(root, 'other');
    // The bytes of a loaded model depend on the instruction set, those that its file tells do not.
    const least = await leastBytes({ id: 'fourth', path, device: 'cpu' });
    const enginesBeyond = (free: number): number => Math.floor(free / least) + 1;
    expect((await put('fourth', { path, engines: enginesBeyond(0.5 * bytes) }, small)).status).toBe(507);
    // Only one model can be dropped, which is not enough.
    expect((await put('fourth', { path, engines: enginesBeyond(1.5 * bytes), evict: true }, small)).status).toBe(507);
    expect(load).not.toHaveBeenCalled();
    // The weights fit in half precision, as on a card.
    expect((await put('fourth', { path, engines: 2, device: 'auto', evict: true }, small)).status).toBe(507);
    expect(load).toHaveBeenCalledTimes(2);
    load.mockRestore();
    expect((await draw('third', {}, small)).status).toBe(200);
  });

  it('is made room in by what was used longest ago', async () => {
    const own = { path: 'mnist', device: 'cpu', rows: 2 };
    const settings = settingsOf({ models: [{ id: 'a', ...own }], memory: 3.5 * bytes });
    const registry = await Registry.open(settings);
    try {
      const add = (id: string, evict = false) => registry.put(id, { id, ...own }, { evict });
      for (const id of ['b', 'c']) await add(id);
      registry.use('a');
      registry.use('b');
      registry.use('a');
      await add('d', true);
      expect(registry.models.map(({ id }) => id)).toEqual(['a', 'b', 'd']);
      // Loading counts as a use.
      await add('e', true);
      expect(registry.models.map(({ id }) => id)).toEqual(['a', 'd', 'e']);
      // Reading about a model does not count as a use.
      registry.get('a');
      await add('f', true);
      expect(registry.models.map(({ id }) => id)).toEqual(['d', 'e', 'f']);
    } finally {
      await registry.close();
    }
  });

  it('holds at the start, too', async () => {
    const models = ['a', 'b', 'c'].map((id) => ({ id, path: 'mnist', device: 'cpu', rows: 2 }));
    await expect(Server.start({ models, port: 0, memory: 2.5 * bytes })).rejects.toMatchObject({
      code: 'ERR_DPM_OUT_OF_MEMORY',
    });
  });
});

it.each([
  [{}, 2, undefined],
  [{}, 3, undefined],
  [{}, 4, 3],
  [{}, 16, 15],
  [{ threads: 2 }, 16, 2],
  [{ threads: 0 }, 16, 0],
])('of threads, %j on %i cores takes %s', (config, cores, threads) => {
  expect(loadOptions({ path: 'm', ...config }, cores).threads).toBe(threads);
});
