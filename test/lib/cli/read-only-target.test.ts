// Folders that cannot be written are told before the work. For root all can be: the system's answer is made up here.
import { mkdirSync } from 'node:fs';
import type * as promises from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it, vi } from 'vitest';

import { checkTarget } from '../../../lib/cli/target.js';
import { temporaryFolder } from '../../support/temporary.js';

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof promises>();
  return {
    ...real,
    access: (path: string, mode: number) =>
      path.endsWith('read-only') && mode === (real.constants.W_OK | real.constants.X_OK)
        ? Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' }))
        : real.access(path, mode),
  };
});

it('a target is not in a read-only folder, nor in a new one below it', async () => {
  const folder = join(temporaryFolder(), 'read-only');
  mkdirSync(folder);
  for (const name of ['x.png', 'new/x.png', '.']) {
    const check = checkTarget(join(folder, name), { flag: '--out', folder: true });
    await expect(check).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    await expect(check).rejects.toThrow(/the folder .*read-only is read-only/);
  }
});
