// Folders that are made with those that they lie in.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { makeFolder } from '../../../lib/files/files.js';
import { temporaryFolder } from '../../support/temporary.js';

const place = temporaryFolder();

it('makes what is missing, and says from where on', async () => {
  mkdirSync(join(place, 'there'));
  const folder = join(place, 'there', 'a', 'b', 'c');
  expect(await makeFolder(folder)).toBe(join(place, 'there', 'a'));
  expect(existsSync(folder)).toBe(true);
  expect(await makeFolder(folder)).toBeUndefined();
  expect(await makeFolder(join(folder, 'd'))).toBe(join(folder, 'd'));
  expect(await makeFolder('.')).toBeUndefined();
});

it('makes the same for all who ask at once', async () => {
  const folder = join(place, 'at', 'once');
  const outermost = await Promise.all(Array.from({ length: 8 }, () => makeFolder(folder)));
  expect(outermost).toContain(join(place, 'at'));
  expect(readdirSync(join(place, 'at'))).toEqual(['once']);
});

it('is told by name where it cannot be', async () => {
  const file = join(place, 'file');
  writeFileSync(file, '');
  for (const folder of [file, join(file, 'a')]) {
    const making = makeFolder(folder);
    await expect(making).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(making).rejects.toThrow(`cannot make the folder ${folder}: `);
  }
});

it.runIf(process.platform === 'linux')('ends where a system finds nothing in what is there', async () => {
  await expect(makeFolder('/proc/nope/x/y')).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
});
