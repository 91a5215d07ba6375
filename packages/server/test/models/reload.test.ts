// Tests of reading the configuration again while the server runs.
import { appendFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DiffusionModel } from 'dpm-native';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';

import { type ModelConfig, type Reloaded, Server, type ServerConfig } from '../../src/index.js';
import { settingsOf } from '../../src/config/config.js';
import { Registry } from '../../src/models/registry.js';
import { until, untilDraws } from '../support.js';

const digits = fileURLToPath(new URL('../../../../models/mnist', import.meta.url));
const options = { device: 'cpu', rows: 1 } as const;
const common = { port: 0, logLevel: 'silent' } as const;
let root: string;
let server: Server;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'reload-'));
});
afterAll(() => rm(root, { recursive: true }));

/** A copy of the digits whose digest is another. */
async function copy(name: string): Promise<string> {
  const path = join(root, name);
  await cp(digits, path, { recursive: true });
  await writeFile(join(path, 'note.json'), JSON.stringify({ name }));
  return path;
}

const json = async (path: string): Promise<Record<string, unknown>> =>
  (await (await fetch(server.url + path)).json()) as Record<string, unknown>;
const ids = async (): Promise<string[]> => ((await json('/v1/models')).data as { id: string }[]).map(({ id }) => id);
const digest = async (id: string): Promise<unknown> => (await json(`/v1/models/${id}`)).digest;
const draw = async (model: string, steps = 2): Promise<number> => {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ model, sampler: 'ddpm', steps, seed: 1 });
  return (await fetch(`${server.url}/v1/samples`, { method: 'POST', headers, body })).status;
};

describe('the models of a server', () => {
  const same: ModelConfig = { id: 'same', path: digits, ...options };
  let load: MockInstance<typeof DiffusionModel.load>;

  beforeEach(async () => {
    await rm(join(root, 'changing'), { recursive: true, force: true });
    const changing = { id: 'changing', path: await copy('changing'), ...options };
    server = await Server.start({ ...common, models: [same, changing, { id: 'going', path: 'mnist', ...options }] });
    load = vi.spyOn(DiffusionModel, 'load');
  });
  afterEach(async () => {
    load.mockRestore();
    await server.stop();
  });
  const reload = (...models: ModelConfig[]): Promise<Reloaded> => server.reload({ ...common, models });

  it('become those of the configuration, and what has not changed stays', async () => {
    const before = await digest('changing');
    const running = draw('going', 300);
    await untilDraws(server);
    const changing = { id: 'changing', path: await copy('changed'), ...options };
    const reloaded = await reload({ ...options, path: digits, id: 'same' }, changing, { ...same, id: 'new' });
    expect(reloaded).toEqual({ loaded: ['changing', 'new'], removed: ['going'], failed: new Map(), restart: [] });
    expect((await ids()).sort()).toEqual(['changing', 'new', 'same']);
    expect(await digest('changing')).not.toBe(before);
    expect(load.mock.calls.map(([path]) => path)).toEqual([changing.path, digits]);
    expect(await running).toBe(200);
    expect(await Promise.all(['same', 'changing', 'new', 'going'].map((id) => draw(id)))).toEqual([200, 200, 200, 404]);
  });

  it('are loaded again when their files have changed, and not otherwise', async () => {
    const models: ModelConfig[] = [same, { id: 'changing', path: join(root, 'changing'), ...options }];
    const before = await digest('changing');
    expect((await reload(...models)).loaded).toEqual([]);
    expect(load).not.toHaveBeenCalled();
    await writeFile(join(root, 'changing/note.json'), '{ "name": "once more" }');
    expect((await reload(...models)).loaded).toEqual(['changing']);
    expect(await digest('changing')).not.toBe(before);
    expect((await reload(...models)).loaded).toEqual([]);
  });

  it('stay where others fail to load, which is told', async () => {
    const before = await digest('changing');
    const broken: ModelConfig = { id: 'changing', path: join(root, 'nowhere'), ...options };
    const { failed, loaded } = await reload(same, broken, { ...same, id: 'new' });
    expect(loaded).toEqual(['new']);
    expect([...failed]).toEqual([['changing', expect.objectContaining({ code: 'ERR_DPM_FILE' })]]);
    expect(await digest('changing')).toBe(before);
    expect(await draw('changing')).toBe(200);
    const told = { ready: true, reasons: [], warnings: ['changing was not loaded: ERR_DPM_FILE'] };
    expect(await json('/readyz')).toEqual(told);
    // A model that failed is tried each time, and its warning goes once it loads.
    await reload(same, broken);
    expect(await json('/readyz')).toEqual(told);
    await reload(same, { id: 'changing', path: join(root, 'changing'), ...options });
    expect(await json('/readyz')).toEqual({ ready: true, reasons: [], warnings: [] });
  });

  it('stay where the configuration is wrong', async () => {
    const wrong = reload({ ...same, id: 'new' }, { ...same, id: 'new' });
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    await expect(server.reload({ ...common, models: [] })).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
    expect(await ids()).toEqual(['same', 'changing', 'going']);
    expect(load).not.toHaveBeenCalled();
  });

  it('are changed by one configuration after the other', async () => {
    await Promise.all([reload({ ...same, id: 'a' }), reload({ ...same, id: 'b' }), reload({ ...same, id: 'c' })]);
    expect(await ids()).toEqual(['c']);
  });

  it('do not change at the end', async () => {
    const stopped = server.stop();
    await expect(reload(same)).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
    await stopped;
  });

  it('are all that changes: other settings take a restart', async () => {
    const models = [same, { id: 'changing', path: join(root, 'changing'), ...options }];
    const changed: ServerConfig = { ...common, models, drain: 1, cors: ['https://a.example'] };
    expect((await server.reload(changed)).restart.sort()).toEqual(['cors', 'drain']);
  });
});

describe('a registry', () => {
  const put = { path: digits, ...options };

  it('keeps what clients have put, until a configuration has it', async () => {
    const registry = await Registry.open(settingsOf({ ...common, models: [{ id: 'file', ...put }] }));
    await registry.put('client', put);
    expect(registry.configured).toEqual(['file']);
    expect(await registry.adopt('client', { ...put, rows: 2 })).toBe(false);
    expect(await registry.adopt('client', { id: 'client', ...put })).toBe(true);
    expect(registry.configured).toEqual(['file', 'client']);
    // A model that a client puts in the place of a configured one belongs to the client.
    await registry.put('file', put);
    expect(registry.configured).toEqual(['client']);
    await registry.close();
  });

  it('looks at the file that says what a network is, too', async () => {
    const config = join(root, 'network.json');
    await cp(join(digits, 'unet/config.json'), config);
    const path = join(digits, 'unet/diffusion_pytorch_model.safetensors');
    const named = { id: 'file', path, config, ...options };
    const registry = await Registry.open(settingsOf({ ...common, models: [named] }));
    expect(await registry.adopt('file', named)).toBe(true);
    await appendFile(config, '\n');
    expect(await registry.adopt('file', named)).toBe(false);
    await registry.close();
  });

  it('forgets that a model could not be loaded when another is put or it is taken away', async () => {
    const registry = await Registry.open(settingsOf({ ...common, models: [{ id: 'a', ...put }] }));
    registry.unloadable = new Map([
      ['a', 'ERR_DPM_FILE'],
      ['b', 'ERR_DPM_FILE'],
    ]);
    await registry.put('b', put);
    expect([...registry.unloadable.keys()]).toEqual(['a']);
    await registry.remove('a');
    expect([...registry.unloadable.keys()]).toEqual([]);
    await registry.close();
  });
});

describe('a budget of memory', () => {
  it('has room for what comes in the place of what goes', async () => {
    await using measured = await DiffusionModel.load(digits, { device: 'cpu' });
    await using _ = await measured.batcher({ rows: 1 });
    const memory = 1.5 * measured.memory().host;
    server = await Server.start({ ...common, memory, models: [{ id: 'a', path: digits, ...options }] });
    const running = draw('a', 200);
    await untilDraws(server);
    const models = [{ id: 'b', path: digits, ...options }];
    expect(await server.reload({ ...common, memory, models })).toMatchObject({ loaded: ['b'], failed: new Map() });
    expect(await running).toBe(200);
    expect(await ids()).toEqual(['b']);
    const both = [...models, { id: 'c', path: digits, ...options }];
    const { failed } = await server.reload({ ...common, memory, models: both });
    expect(failed.get('c')).toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY' });
    expect((await json('/readyz')).warnings).toEqual(['c was not loaded: ERR_DPM_OUT_OF_MEMORY']);
    // What failed for another reason is told, too, when others get the memory of what went.
    const nowhere = { id: 'd', path: join(root, 'nowhere'), ...options };
    const others = [{ id: 'e', path: digits, ...options }, nowhere];
    const last = await server.reload({ ...common, memory, models: others });
    expect([last.loaded, [...last.failed.keys()]]).toEqual([['e'], ['d']]);
    await server.stop();
  });
});

describe('a file that is followed', () => {
  it('is read again when it changes, and no more after the end', async () => {
    const file = join(root, 'followed.yaml');
    await writeFile(file, 'a');
    const models: ModelConfig[] = [{ id: 'a', path: digits, ...options }];
    server = await Server.start({ ...common, models });
    const read = vi.fn(() => Promise.resolve({ ...common, models: [{ id: 'b', path: digits, ...options }] }));
    const before = process.listenerCount('SIGHUP');
    server.follow(file, read);
    expect(process.listenerCount('SIGHUP')).toBe(before + 1);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(read).not.toHaveBeenCalled();
    await writeFile(file, 'ab');
    await until(async () => (await ids()).join() === 'b');
    expect(read).toHaveBeenCalledOnce();
    await server.stop();
    expect(process.listenerCount('SIGHUP')).toBe(before);
    await writeFile(file, 'abc');
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(read).toHaveBeenCalledOnce();
  });
});
