// Solvers that lower the orders of their last steps by default, and up to how many steps.
import { describe, expect, it } from 'vitest';

import { samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { asSteps } from '../../support/interpreter.js';
import { linear } from '../../support/sampled.js';

const multistep = [
  'dpm-solver-2m',
  'dpm-solver-3m',
  'dpm-solver++-2m',
  'dpm-solver++-3m',
  'dpm-solver++-2m-sde',
  'dpm-solver++-3m-sde',
  'dpm-solver-2m-sde',
] as const;

function recordsOf(sampler: (typeof multistep)[number] | 'unipc' | 'deis', options: SamplerOptions): unknown {
  return asSteps(samplers[sampler](linear, options)).records;
}

function orders(options: SamplerOptions): number[] {
  const { records } = asSteps(samplers['dpm-solver++-3m'](linear, options));
  return records.map(({ x }) => x!.history.filter((weight) => weight !== 0).length);
}

describe('the orders of the last steps', () => {
  it('fall to 1 below ten steps, and not from ten on', () => {
    expect(orders({ steps: 9 })).toEqual([1, 2, 3, 3, 3, 3, 3, 2, 1]);
    expect(orders({ steps: 10 })).toEqual([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
  });

  it.each(multistep)('of %s are lowered below ten steps alone', (sampler) => {
    for (const steps of [2, 9, 10, 11]) {
      const lowered = recordsOf(sampler, { steps, lowerOrderFinal: 'always' });
      const full = recordsOf(sampler, { steps, lowerOrderFinal: false });
      expect(lowered).not.toEqual(full);
      const expected = steps < 10 ? lowered : full;
      expect(recordsOf(sampler, { steps })).toEqual(expected);
      expect(recordsOf(sampler, { steps, lowerOrderFinal: true })).toEqual(expected);
    }
  });

  it('of UniPC are lowered however many steps there are', () => {
    for (const steps of [3, 9, 10, 40]) {
      const lowered = recordsOf('unipc', { steps, lowerOrderFinal: 'always' });
      expect(recordsOf('unipc', { steps, lowerOrderFinal: false })).not.toEqual(lowered);
      expect(recordsOf('unipc', { steps })).toEqual(lowered);
      expect(recordsOf('unipc', { steps, lowerOrderFinal: true })).toEqual(lowered);
    }
  });

  it('of DEIS are lowered where somebody asks for it alone', () => {
    for (const steps of [4, 9, 10]) {
      const full = recordsOf('deis', { steps, lowerOrderFinal: false });
      const lowered = recordsOf('deis', { steps, lowerOrderFinal: 'always' });
      expect(lowered).not.toEqual(full);
      expect(recordsOf('deis', { steps })).toEqual(full);
      expect(recordsOf('deis', { steps, lowerOrderFinal: true })).toEqual(steps < 10 ? lowered : full);
    }
  });
});
