import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { expect, it } from 'vitest';

import { nativeGraph } from '../../../lib/checkpoint/checkpoint.js';
import { nativePath } from '../../../lib/files/paths.js';
import { temporaryFolder } from '../../support/temporary.js';

const nothing = { values: [], nodes: [], constants: [] };

it('native code reads what lies in an archive of Electron beside it', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'app.asar.unpacked/models'), { recursive: true });
  writeFileSync(join(folder, 'app.asar.unpacked/models/there'), '');
  const unpacked = join(folder, 'app.asar.unpacked/models/there');
  expect(nativePath(join(folder, 'app.asar/models/there'))).toBe(unpacked);
  expect(nativePath(unpacked)).toBe(unpacked);
  const archived = { files: [join(folder, 'app.asar/models/there')], tensors: new Map() };
  expect(nativeGraph(nothing, archived).files).toEqual([unpacked]);
  // One that was not unpacked is said to be missing where it was looked for.
  expect(nativePath(join(folder, 'app.asar/models/absent'))).toBe(join(folder, 'app.asar/models/absent'));
  expect(nativePath('weights.asar')).toBe(resolve('weights.asar'));
  expect(nativePath('models/x')).toBe(resolve('models/x'));
});
