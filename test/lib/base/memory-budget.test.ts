// Share of the memory that the result of one call may take.
import { totalmem } from 'node:os';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { requireMemory } from '../../../lib/base/memory-budget.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

const gibibyte = 2 ** 30;

describe('the result of one call', () => {
  it('may take half of the memory of the machine', () => {
    vi.stubEnv('DPM_MEMORY', undefined);
    const bytes = 64;
    const most = Math.floor(totalmem() / 2 / bytes);
    expect(() => {
      requireMemory('it', most, bytes);
    }).not.toThrow();
    expect(() => {
      requireMemory('it', most + 1, bytes);
    }).toThrow(/it: that takes .* GiB, one call may take .* GiB here; make it in parts/);
  });

  it.each([
    ['4', 2],
    ['64', 32],
    ['0.5', 0.25],
  ])('may take half of what DPM_MEMORY says, %s GiB', (said, gibibytes) => {
    vi.stubEnv('DPM_MEMORY', said);
    const elements = (gibibytes * gibibyte) / 16;
    expect(() => {
      requireMemory('it', elements, 16);
    }).not.toThrow();
    expect(() => {
      requireMemory('it', elements + 1, 16);
    }).toThrow(`one call may take ${gibibytes.toFixed(1)} GiB here`);
  });

  it('has at most 2^32 elements', () => {
    vi.stubEnv('DPM_MEMORY', '1000');
    expect(() => {
      requireMemory('it', 2 ** 32 + 1, 1);
    }).toThrow(/make it in parts/);
  });

  it.each(['', 'all', '0', '-4', 'Infinity'])('DPM_MEMORY has to be a number of GiB, not %j', (said) => {
    vi.stubEnv('DPM_MEMORY', said);
    expect(() => {
      requireMemory('it', 1, 1);
    }).toThrow(/DPM_MEMORY is '.*', it has to be the GiB of memory there are/);
  });
});
