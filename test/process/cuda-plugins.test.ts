// Which build of the CUDA plug-in serves a driver, and what `dpm devices` says of it: the emulated ones under the names of
// those that are published, beside a copy of the addon.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { packagePath, temporaryFolder } from '../support/temporary.js';

const built = packagePath('build/cmake/Release');

interface Listed {
  name: string;
  usable: boolean;
  score: number;
  description: string;
  reason: string;
}

describe('the plug-in for a driver', () => {
  const folder = temporaryFolder();
  const release = join(folder, 'build/Release');

  beforeAll(() => {
    mkdirSync(release, { recursive: true });
    const copies = {
      'dpm_native.node': packagePath('build/Release/dpm_native.node'),
      'libdpm_reference.so': packagePath('build/Release/libdpm_reference.so'),
      'libdpm_cuda.so': join(built, 'emulated/libdpm_cuda_emulated.so'),
      'libdpm_cuda12.so': join(built, 'emulated/libdpm_cuda12_emulated.so'),
      // All that is looked for is whether it opens.
      'libcuda.so.1': packagePath('build/Release/libdpm_reference.so'),
    };
    for (const [name, source] of Object.entries(copies)) copyFileSync(source, join(release, name));
  });

  const devices = (driver: string, environment: NodeJS.ProcessEnv = {}) => {
    const text = execFileSync(process.execPath, [packagePath('dist/cli/main.js'), 'devices', '--json'], {
      env: {
        ...process.env,
        DPM_CUDA_PLUGIN: '',
        DPM_NATIVE_PREBUILD: folder,
        LD_LIBRARY_PATH: release,
        DPM_EMULATED_DRIVER: driver,
        ...environment,
      },
    }).toString();
    const cards = (JSON.parse(text) as Listed[]).filter(({ name }) => name.startsWith('cuda'));
    expect(cards).toHaveLength(1);
    return cards[0]!;
  };

  it('is the first for a new driver', () => {
    const { usable, description, reason } = devices('13000');
    expect({ usable, reason }).toEqual({ usable: true, reason: '' });
    expect(description).toContain('CUDA 13 plug-in');
    expect(description).not.toContain('why');
  });

  it('is the second for an older one, which is told why', () => {
    const { usable, description, reason } = devices('12040');
    expect({ usable, reason }).toEqual({ usable: true, reason: '' });
    expect(description).toContain('CUDA 12 plug-in');
    expect(description).toMatch(
      /; why this plug-in: the NVIDIA driver is too old: it supports CUDA 12\.4, CUDA 13 needs R580 or newer$/,
    );
  });

  it('is none for a very old one', () => {
    expect(devices('11040')).toEqual({
      name: 'cuda:0',
      usable: false,
      score: 0,
      description: '',
      reason: 'the NVIDIA driver is too old: it supports CUDA 11.4, CUDA 12 needs R525 or newer',
    });
  });

  it('is the one that DPM_CUDA_PLUGIN names, and no other', () => {
    const named = (file: string) => ({ DPM_CUDA_PLUGIN: join(release, file) });
    expect(devices('13000', named('libdpm_cuda12.so')).description).toContain('CUDA 12 plug-in');
    expect(devices('12040', named('libdpm_cuda.so'))).toMatchObject({
      usable: false,
      score: 0,
      reason: 'the NVIDIA driver is too old: it supports CUDA 12.4, CUDA 13 needs R580 or newer',
    });
  });

  describe('in a package of its own', () => {
    const modules = join(folder, 'modules');
    const installed = join(modules, '@dpm-native/cuda-linux-x64');
    const inPackage = (driver: string) => devices(driver, { NODE_PATH: modules });

    beforeAll(() => {
      cpSync(packagePath('cuda/package'), installed, { recursive: true });
      for (const file of ['libdpm_cuda.so', 'libdpm_cuda12.so']) renameSync(join(release, file), join(installed, file));
    });

    it('is found', () => {
      expect(inPackage('13000').description).toContain('CUDA 13 plug-in');
      expect(inPackage('12040').description).toContain('CUDA 12 plug-in');
    });

    it('is asked for where it is not installed', () => {
      const { usable, reason } = devices('13000');
      expect(usable).toBe(false);
      expect(reason).toMatch(
        /^cannot open plug-in .*libdpm_cuda\.so: .* \(npm install @dpm-native\/cuda-linux-x64 brings it\)$/,
      );
      // Driver problems cannot be solved by a package.
      expect(inPackage('11040').reason).not.toContain('npm install');
    });

    it('may lack the build for older drivers', () => {
      rmSync(join(installed, 'libdpm_cuda12.so'));
      expect(inPackage('12040').reason).toBe(
        'the NVIDIA driver is too old: it supports CUDA 12.4, CUDA 13 needs R580 or newer',
      );
    });

    it('goes before one beside the addon', () => {
      copyFileSync(join(built, 'emulated/libdpm_cuda12_emulated.so'), join(release, 'libdpm_cuda.so'));
      expect(inPackage('13000').description).toContain('CUDA 13 plug-in');
      expect(devices('12040').description).toContain('CUDA 12 plug-in');
    });

    it('has the version of the package that it is for', () => {
      const manifest = (file: string) =>
        JSON.parse(readFileSync(packagePath(file), 'utf8')) as { version: string; peerDependencies: object };
      const { version, peerDependencies } = manifest('package.json');
      expect(manifest('cuda/package/package.json').version).toBe(version);
      expect(peerDependencies).toMatchObject({ '@dpm-native/cuda-linux-x64': version });
    });
  });
});
