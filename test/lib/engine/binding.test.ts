import { describe, expect, it } from 'vitest';

import { NATIVE_ABI_VERSION, native, requireFit } from '../../../lib/engine/binding.js';
import { RECORD_BYTES } from '../../../lib/program/pack.js';

describe('the addon', () => {
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
