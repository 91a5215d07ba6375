// Tests of two things that Windows lacks: bits for the right to read a file, and a SIGHUP that only means "read again".
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { watchConfig } from '../src/config/config-watch.js';
import { Tokens } from '../src/http/tokens.js';

const { platform } = process;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dpm-windows-'));
});
afterEach(async () => {
  Object.defineProperty(process, 'platform', { value: platform });
  await rm(folder, { recursive: true });
});

it('takes tokens whatever the bits of their file', async () => {
  const path = join(folder, 'tokens.yaml');
  await writeFile(path, '[]');
  await chmod(path, 0o666);
  await expect(Tokens.open(path)).rejects.toThrow(/others may read/);
  Object.defineProperty(process, 'platform', { value: 'win32' });
  await expect(Tokens.open(path)).resolves.toBeInstanceOf(Tokens);
});

it('does not read a configuration when its console is closed', () => {
  const before = process.listenerCount('SIGHUP');
  const watched = () => {
    const stop = watchConfig(join(folder, 'config.yaml'), () => undefined);
    const count = process.listenerCount('SIGHUP') - before;
    stop();
    return count;
  };
  expect(watched()).toBe(1);
  Object.defineProperty(process, 'platform', { value: 'win32' });
  expect(watched()).toBe(0);
});
