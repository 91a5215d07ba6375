// Tests of the folders that models of clients may come from.
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { requireRoot } from '../../src/models/model-roots.js';

let parent: string;
let root: string;

beforeAll(async () => {
  parent = await realpath(await mkdtemp(join(tmpdir(), 'roots-')));
  root = join(parent, 'root');
  for (const name of ['root/model', 'root-else']) await mkdir(join(parent, name), { recursive: true });
});
afterAll(() => rm(parent, { recursive: true }));

it('a root may be a model itself, or have models in it', async () => {
  for (const path of [root, join(root, 'model')]) {
    expect(await requireRoot(path, [join(parent, 'nowhere'), root])).toBe(path);
  }
});

it('a folder whose name only begins as that of a root is in none', async () => {
  const error: unknown = await requireRoot(join(parent, 'root-else'), [root]).catch((each: unknown) => each);
  expect(error).toMatchObject({ code: 'ERR_DPM_FORBIDDEN', message: 'path is in none of the modelRoots' });
});
