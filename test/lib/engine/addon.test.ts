import { describe, expect, it } from 'vitest';

import { buildIn, cudaPlugins, loadingError, native, requireFit } from '../../../lib/engine/addon.js';
import { NATIVE_ABI_VERSION } from '../../../lib/engine/native-engine.js';
import { RECORD_BYTES } from '../../../lib/program/pack.js';

describe('the addon', () => {
  it('that is nowhere says how to build it', () => {
    const nothing = (): never => {
      throw new Error('No native build was found for platform=plan9');
    };
    const find = (): string => buildIn('/package', nothing);
    expect(find).toThrow(expect.objectContaining({ code: 'ERR_DPM_ADDON' }));
    expect(find).toThrow(
      /^no native build of dpm-native for .* was found in \/package; in a checkout of its repository, npm install/,
    );
    expect(buildIn('/package', (root) => `${root}/found.node`)).toBe('/package/found.node');
  });

  it.each([
    ["/lib/libc.so.6: version `GLIBC_2.38' not found", /the C or C\+\+ library of this system is older/],
    ["version `GLIBCXX_3.4.32' not found", /library of this system is older/],
    ['invalid ELF header', /the file is damaged or of another platform: install the package again/],
    ['file too short', /the file is damaged/],
    ['cannot read file data', /the file is damaged/],
    ['cannot enable executable stack', /it is not for this system/],
  ])('that is there and does not load says why: %s', (reason, hint) => {
    const error = loadingError('/p/dpm-native.node', new Error(reason));
    expect(error.code).toBe('ERR_DPM_ADDON');
    expect(error.message).toContain(`the native build /p/dpm-native.node does not load: ${reason}; `);
    expect(error.message).toMatch(hint);
  });

  it('takes the CUDA device from its own package, where that is there', () => {
    const requiring = (load: () => unknown): NodeJS.Require => Object.assign(load, {}) as unknown as NodeJS.Require;
    const failing = (code: string) =>
      requiring(() => {
        throw Object.assign(new Error('no'), { code });
      });
    expect(cudaPlugins(requiring(() => ({ plugins: ['/p/libdpm_cuda.so'] })))).toEqual(['/p/libdpm_cuda.so']);
    expect(cudaPlugins(failing('MODULE_NOT_FOUND'))).toEqual([]);
    expect(() => cudaPlugins(failing('EACCES'))).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_ADDON', message: expect.stringContaining('cuda-linux-x64') as unknown }),
    );
  });

  it('fits this package', () => {
    const { abiVersion, recordBytes } = native();
    expect([abiVersion, recordBytes]).toEqual([NATIVE_ABI_VERSION, RECORD_BYTES]);
  });

  it.each([
    [{ abiVersion: NATIVE_ABI_VERSION - 1, recordBytes: RECORD_BYTES }, /surface version \d+, this package needs/],
    [{ abiVersion: NATIVE_ABI_VERSION, recordBytes: RECORD_BYTES + 4 }, /records of size \d+, this package needs/],
  ])('is refused when it is another: %j', (binding, message) => {
    expect(() => {
      requireFit(binding);
    }).toThrow(message);
    expect(() => {
      requireFit(binding);
    }).toThrow(expect.objectContaining({ code: 'ERR_DPM_ADDON' }));
  });
});
