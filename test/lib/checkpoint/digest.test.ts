// Digests that distinguish models.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { digestOfModel } from '../../../lib/checkpoint/digest.js';
import { DiffusionModel } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { packagePath } from '../../support/temporary.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'digest-'));
  await mkdir(join(folder, 'unet'));
  await writeFile(join(folder, 'unet', 'config.json'), '{}');
  await writeFile(join(folder, 'unet', 'weights.safetensors'), 'weights');
});
afterEach(() => rm(folder, { recursive: true }));

it('changes with names and contents of configurations and weights, and with nothing else', async () => {
  const first = await digestOfModel(folder);
  expect(first).toMatch(/^[0-9a-f]{64}$/);
  await writeFile(join(folder, 'README.md'), 'words');
  await mkdir(join(folder, '.git'));
  await writeFile(join(folder, '.git', 'config.json'), '{}');
  expect(await digestOfModel(folder)).toBe(first);
  await writeFile(join(folder, 'unet', 'config.json'), '{ }');
  const changed = await digestOfModel(folder);
  await rename(join(folder, 'unet', 'config.json'), join(folder, 'unet', 'other.json'));
  const renamed = await digestOfModel(folder);
  await writeFile(join(folder, 'gamma.json'), '[]');
  const more = await digestOfModel(folder);
  expect(new Set([first, changed, renamed, more]).size).toBe(4);
});

it('is that of names and contents by name, in whichever order folders are read', async () => {
  await writeFile(join(folder, 'unet.json'), '[]');
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  // A full stop comes before the slash of what a folder holds.
  const lines = [
    ['unet.json', '[]'],
    ['unet/config.json', '{}'],
    ['unet/weights.safetensors', 'weights'],
  ].map(([name, contents]) => `"${name}" ${sha256(contents!)}\n`);
  expect(await digestOfModel(folder)).toBe(sha256(lines.join('')));
});

it('is that of what links lead to, and of files alone', async () => {
  const other = await mkdtemp(join(tmpdir(), 'digest-'));
  await symlink(join(folder, 'unet'), join(other, 'unet'));
  expect(await digestOfModel(other)).toBe(await digestOfModel(folder));
  await rm(other, { recursive: true });
  const file = await digestOfModel(join(folder, 'unet', 'weights.safetensors'));
  await writeFile(join(folder, 'unet', 'weights.safetensors'), 'others');
  expect(await digestOfModel(join(folder, 'unet', 'weights.safetensors'))).not.toBe(file);
});

it('says which model cannot be read', async () => {
  expect(await failure(digestOfModel(join(folder, 'nowhere')))).toMatchObject({
    code: 'ERR_DPM_FILE',
    message: expect.stringMatching(/^cannot read the model .*nowhere: /) as string,
  });
});

it('is what a model says of itself', async () => {
  const path = packagePath('models/mnist');
  await using model = await DiffusionModel.load(path, { device: 'cpu' });
  expect(await model.digest()).toBe(await digestOfModel(path));
});
