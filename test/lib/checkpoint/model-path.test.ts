// Names of a model: a path, a file URL, a bundled model, one of the Hugging Face hub in the cache of this machine.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { bundledModels, DiffusionModel, NoiseSchedule } from '../../../lib/index.js';
import { modelPath } from '../../../lib/checkpoint/model-path.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const mnist = packagePath('models/mnist');

/** A cache of the hub that holds a model in a revision. */
function hubCache(name: string, revision: string, reference = revision): string {
  const cache = join(folder, `hub-${Math.random().toString(36).slice(2)}`);
  const model = join(cache, `models--${name.replace('/', '--')}`);
  mkdirSync(join(model, 'refs'), { recursive: true });
  writeFileSync(join(model, 'refs', 'main'), `${reference}\n`);
  mkdirSync(join(model, 'snapshots'));
  cpSync(mnist, join(model, 'snapshots', revision), { recursive: true });
  return cache;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a model', () => {
  it('is found by its path, its file URL or its name', async () => {
    expect(await modelPath(mnist)).toBe(mnist);
    expect(await modelPath(pathToFileURL(mnist))).toBe(mnist);
    expect(await modelPath('mnist')).toBe(mnist);
    for (const name of bundledModels) expect(await modelPath(name)).toBe(packagePath(`models/${name}`));
    expect(await modelPath('mnist-classifier')).toBe(packagePath('models/mnist-classifier'));
    await using model = await DiffusionModel.load(pathToFileURL(mnist), { device: 'cpu', threads: 1 });
    expect(model.sampleShape).toEqual([1, 28, 28]);
  });

  it('of the hub is found in its cache', async () => {
    const cache = hubCache('owner/digits', 'abc123');
    vi.stubEnv('HF_HUB_CACHE', cache);
    expect(await modelPath('owner/digits')).toBe(join(cache, 'models--owner--digits/snapshots/abc123'));
    await using model = await DiffusionModel.load('owner/digits', { device: 'cpu', threads: 1 });
    expect(model.schedule.steps).toBe(1000);
  });

  it('of the hub is looked for where its tools keep it', async () => {
    const cache = hubCache('owner/digits', 'r1');
    const home = join(folder, 'home');
    mkdirSync(join(home, 'huggingface'), { recursive: true });
    cpSync(cache, join(home, 'huggingface', 'hub'), { recursive: true });
    const found = join(home, 'huggingface/hub/models--owner--digits/snapshots/r1');
    vi.stubEnv('HF_HUB_CACHE', '');
    vi.stubEnv('HF_HOME', join(home, 'huggingface'));
    expect(await modelPath('owner/digits')).toBe(found);
    vi.stubEnv('HF_HOME', '');
    vi.stubEnv('XDG_CACHE_HOME', home);
    expect(await modelPath('owner/digits')).toBe(found);
    vi.stubEnv('XDG_CACHE_HOME', '');
    vi.stubEnv('HOME', join(folder, 'user'));
    mkdirSync(join(folder, 'user'));
    cpSync(home, join(folder, 'user', '.cache'), { recursive: true });
    expect(await modelPath('owner/digits')).toBe(join(folder, 'user/.cache', relative(home, found)));
  });

  it.each(['owner/other', 'other/digits'])('of the hub is not taken for another: %s', async (name) => {
    vi.stubEnv('HF_HUB_CACHE', hubCache('owner/digits', 'abc123'));
    await expect(modelPath(name)).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });

  it('of the hub that is not there says how to get it', async () => {
    vi.stubEnv('HF_HUB_CACHE', join(folder, 'nothing'));
    const load = DiffusionModel.load('google/ddpm-cifar10-32', { device: 'cpu' });
    await expect(load).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(load).rejects.toThrow(/download it: hf download google\/ddpm-cifar10-32$/);
  });

  it.each(['../../escape', '.hidden', '', 'a/b'])(
    'of the hub in a revision called %j is not there',
    async (reference) => {
      vi.stubEnv('HF_HUB_CACHE', hubCache('owner/digits', 'abc', reference));
      await expect(modelPath('owner/digits')).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    },
  );

  it.each<[unknown, string, RegExp]>([
    [undefined, 'ERR_DPM_ARGUMENT', /the model is undefined, it has to be a path/],
    [
      new URL('https://example.invalid/model'),
      'ERR_DPM_ARGUMENT',
      /https:\/\/example\.invalid\/model is not the URL of a file/,
    ],
    ['a\0b', 'ERR_DPM_ARGUMENT', /without zero bytes/],
    ['no-such-model', 'ERR_DPM_FILE', /models that this package brings: mnist/],
    ['../owner/digits', 'ERR_DPM_FILE', /there is no file or folder \.\.\/owner\/digits;/],
  ])('is not %o', async (given, code, message) => {
    const load = DiffusionModel.load(given as string);
    await expect(load).rejects.toMatchObject({ code });
    await expect(load).rejects.toThrow(message);
  });
});

describe('a network that was saved alone', () => {
  const unet = join(mnist, 'unet');

  it('is loaded with a schedule, a scheduler file or its folder', async () => {
    await expect(DiffusionModel.load(unet, { device: 'cpu' })).rejects.toThrow(/give the noise schedule .*--schedule/);
    const expected = await DiffusionModel.load(mnist, { device: 'cpu', threads: 1 });
    const { images } = await expected.sample({ sampler: 'ddim', steps: 3, seed: 1 });
    await expected.close();
    const file = join(mnist, 'scheduler', 'scheduler_config.json');
    for (const schedule of [file, join(mnist, 'scheduler'), mnist, expected.schedule]) {
      await using model = await DiffusionModel.load(unet, { device: 'cpu', threads: 1, schedule });
      expect((await model.sample({ sampler: 'ddim', steps: 3, seed: 1 })).images.data).toEqual(images.data);
    }
  });

  it('takes another schedule in the place of its own, of other families, too', async () => {
    const schedule = NoiseSchedule.cosine();
    await using model = await DiffusionModel.load(mnist, { device: 'cpu', schedule });
    expect(model.schedule).toBe(schedule);
    const ho = packagePath('test/fixtures/unet/ho-ddpm');
    await using other = await DiffusionModel.load(ho, { device: 'cpu', schedule, networkTime: 'index1' });
    expect(other.schedule.name).toBe(schedule.name);
    expect(other.schedule.networkTime(7)).toBe(7);
  });
});

it('a model shows itself in five lines', async () => {
  const { inspect } = await import('node:util');
  await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  const lines = inspect(model).split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[0]).toMatch(/^DiffusionModel .*models\/mnist \(diffusers\)$/);
  expect(lines.slice(1)).toEqual([
    '  images   1 x 28 x 28, -1 to 1',
    expect.stringMatching(/^ {2}network {2}649,329 parameters, \d\.\d{3} G multiply-adds, heads npr, sn, ocm$/),
    `  schedule ${model.schedule.name}, 1000 steps, predicts epsilon`,
    `  device   cpu: ${model.device.description}, 1 threads`,
  ]);
});
