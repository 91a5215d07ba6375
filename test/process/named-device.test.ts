// A device that is named is opened alone: other devices' plug-ins, which start drivers, are not even loaded.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

const script = `
  import { readFileSync } from 'node:fs';
  import { Device, devices } from ${JSON.stringify(packagePath('dist/index.js'))};
  const mapped = () => ['reference', 'cuda'].filter((name) => readFileSync('/proc/self/maps', 'utf8').includes('libdpm_' + name));
  const device = Device.open({ device: 'cpu' });
  const alone = mapped();
  devices();
  console.log(JSON.stringify({ name: device.name, alone, listed: mapped() }));
  await device.close();
`;

const plugin = packagePath('build/cmake/Release/emulated/libdpm_cuda_emulated.so');

describe.skipIf(!existsSync('/proc/self/maps'))('a named device', () => {
  it('is opened without a look at the others', () => {
    const environment = { ...process.env, ...(existsSync(plugin) && { DPM_CUDA_PLUGIN: plugin }) };
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env: environment }).toString();
    const { name, alone, listed } = JSON.parse(text) as { name: string; alone: string[]; listed: string[] };
    expect(name).toBe('cpu');
    expect(alone).toEqual([]);
    expect(listed).toContain('reference');
  });
});
