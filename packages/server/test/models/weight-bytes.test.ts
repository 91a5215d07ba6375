// Tests of the least bytes of a model, known before it is loaded.
import { cp, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { DiffusionModel, writeSafetensors } from 'dpm-native';

import { leastBytes } from '../../src/models/weight-bytes.js';

const digits = fileURLToPath(new URL('../../../../models/mnist', import.meta.url));
const weights = 'diffusion_pytorch_model';
let root: string;
let parameters: number;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weights-'));
  await using model = await DiffusionModel.load(digits, { device: 'cpu' });
  ({ parameters } = model.unet.info);
});
afterAll(() => rm(root, { recursive: true }));

async function folderOf(...files: [string, number][]): Promise<string> {
  const folder = await mkdtemp(join(root, 'model-'));
  for (const [name, count] of files) {
    await writeSafetensors(join(folder, name), new Map([['a', { shape: [count], data: new Float32Array(count) }]]));
  }
  return folder;
}

it.each<[object, number]>([
  [{ device: 'cpu' }, 4],
  [{ exact: true }, 4],
  [{ dtype: 'f32' }, 4],
  [{ device: 'cpu', dtype: 'bf16' }, 2],
  [{ exact: true, dtype: 'f16' }, 2],
  // A card holds them in half precision.
  [{}, 2],
  [{ device: 'cpu', engines: 3 }, 12],
])('with %j it is %i bytes a parameter', async (options, bytes) => {
  expect(await leastBytes({ path: digits, ...options })).toBe(bytes * parameters);
  expect(await leastBytes({ path: join(digits, `unet/${weights}.safetensors`), ...options })).toBe(bytes * parameters);
});

it('is no more than the model takes', async () => {
  await using model = await DiffusionModel.load(digits, { device: 'cpu', exact: true });
  expect(model.memory().host).toBeGreaterThanOrEqual(await leastBytes({ path: digits, device: 'cpu', exact: true }));
});

it('counts all parts, of one form', async () => {
  const parts: [string, number][] = [
    [`${weights}-00001-of-00002.safetensors`, 100],
    [`${weights}-00002-of-00002.safetensors`, 50],
  ];
  expect(await leastBytes({ path: await folderOf(...parts), device: 'cpu' })).toBe(600);
  const path = await folderOf(...parts, [`${weights}.fp16.safetensors`, 150], ['class_embedding.safetensors', 3]);
  expect(await leastBytes({ path, device: 'cpu' })).toBe(600);
  // Of forms that differ, the smallest is what a model takes at least.
  const forms = await folderOf(['model.safetensors', 20], ['model.fp16.safetensors', 9]);
  expect(await leastBytes({ path: forms, device: 'cpu' })).toBe(36);
  expect(await leastBytes({ path: await folderOf(['model.safetensors', 7]), device: 'cpu' })).toBe(28);
});

it('is nothing where it cannot be told', async () => {
  const broken = join(root, 'broken');
  await cp(digits, broken, { recursive: true });
  await truncate(join(broken, `unet/${weights}.safetensors`), 1000);
  expect(await leastBytes({ path: broken })).toBe(0);
  await rename(join(broken, `unet/${weights}.safetensors`), join(broken, `unet/${weights}.bin`));
  expect(await leastBytes({ path: broken })).toBe(0);
  await writeFile(join(root, 'model.ckpt'), 'x');
  for (const path of ['mnist', join(root, 'nowhere'), join(root, 'model.ckpt')])
    expect(await leastBytes({ path })).toBe(0);
});
