import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { samplers, type SamplerName } from '../../lib/samplers/index.js';
import type { SamplerOptions } from '../../lib/samplers/options.js';
import { golden, goldenCase, goldenModel, goldenMoments, maxDifference } from '../support/golden.js';
import { interpret } from '../support/interpreter.js';

const schedule = NoiseSchedule.linear({ networkTime: 'index1' });

const cases: [name: string, sampler: SamplerName, options: SamplerOptions][] = [
  ['ddpm-small-10', 'ddpm', { steps: 10, variance: 'beta-tilde', clip: 'static' }],
  ['ddim-eta0.5-12', 'ddim', { steps: 12, eta: 0.5, clip: 'static' }],
  ['analytic-ddpm-10', 'analytic-ddpm', { steps: 10, clip: 'static', gamma: goldenMoments }],
];

describe('samplers reproduce the published implementations', () => {
  it.each(cases)('%s', (name, sampler, options) => {
    const { noise = [], expected } = goldenCase(name);
    const program = samplers[sampler](schedule, options);
    const result = interpret(program, goldenModel, golden.x_T, (index) => noise[index] ?? []);
    expect(maxDifference(result, expected)).toBeLessThan(1e-9);
  });
});
