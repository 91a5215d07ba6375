// Tests of finding the files of a model.
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { modelEntries, stateOfFiles } from '../../src/models/model-files.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'files-'));
  await mkdir(join(folder, 'unet'));
  await writeFile(join(folder, 'unet/config.json'), '{}');
  await writeFile(join(folder, 'target'), 'weights');
  await symlink('../target', join(folder, 'unet/weights'));
});
afterEach(() => rm(folder, { recursive: true }));

async function namesBelow(path: string): Promise<string[]> {
  const names = [];
  for await (const { name } of modelEntries(path)) names.push(name);
  return names;
}

describe('the entries of a model', () => {
  it('are all of its folder, or its file', async () => {
    expect(await namesBelow(folder)).toEqual(['', 'target', 'unet', 'unet/config.json', 'unet/weights']);
    expect(await namesBelow(join(folder, 'target'))).toEqual(['']);
    await expect(namesBelow(join(folder, 'nowhere'))).rejects.toThrow('ENOENT');
  });

  it('are where links lead, which have to lead somewhere', async () => {
    const reals = [];
    for await (const { name, real } of modelEntries(folder)) if (name === 'unet/weights') reals.push(real);
    expect(reals).toEqual([join(folder, 'target')]);
    await rm(join(folder, 'target'));
    await expect(namesBelow(folder)).rejects.toThrow('ENOENT');
  });

  it('do not lie in hidden folders', async () => {
    await mkdir(join(folder, '.git/objects'), { recursive: true });
    expect(await namesBelow(folder)).not.toContain('.git/objects');
  });

  it('are not without an end', async () => {
    await mkdir(join(folder, 'a/b/c/d/e/f/g/h'), { recursive: true });
    expect(await namesBelow(folder)).toContain('a/b/c/d/e/f/g/h');
    await writeFile(join(folder, 'a/b/c/d/e/f/g/h/i'), '');
    await expect(namesBelow(folder)).rejects.toThrow('more than a model has');
    await rm(join(folder, 'a'), { recursive: true });
    await Promise.all(Array.from({ length: 10_000 }, (_, i) => writeFile(join(folder, `unet/${i}`), '')));
    await expect(namesBelow(folder)).rejects.toThrow('more than a model has');
  });
});

describe('the state of files', () => {
  it('changes with each of them', async () => {
    const states = [await stateOfFiles(folder)];
    expect(await stateOfFiles(folder)).toBe(states[0]);
    await writeFile(join(folder, 'unet/config.json'), '{ }');
    states.push(await stateOfFiles(folder));
    await utimes(join(folder, 'target'), 1, 2);
    states.push(await stateOfFiles(folder));
    await writeFile(join(folder, 'new'), '');
    states.push(await stateOfFiles(folder));
    await writeFile(join(folder, 'other'), 'weights');
    await utimes(join(folder, 'other'), 1, 2);
    await rm(join(folder, 'unet/weights'));
    await symlink('../other', join(folder, 'unet/weights'));
    states.push(await stateOfFiles(folder));
    expect(new Set(states).size).toBe(5);
  });

  it('is nothing where there are none', async () => {
    expect(await stateOfFiles('mnist')).toBeNull();
  });
});
