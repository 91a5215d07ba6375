import { describe, expect, it } from 'vitest';

import { samplerByName, samplerNames, samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { goldenMoments } from '../../support/golden.js';

const schedule = NoiseSchedule.linear();

describe('options of samplers', () => {
  it('lists the samplers for an unknown name', () => {
    expect(() => samplerByName('dpm')).toThrow(samplerNames.join(', '));
    expect(samplerByName('ddim')).toBe(samplers.ddim);
  });

  it.each<[keyof typeof samplers, Record<string, unknown>, RegExp]>([
    ['ddpm', { steps: 5, eta: 1 }, /no option 'eta'; its options: .*variance/],
    ['ddim', { steps: 5, stpes: 5 }, /no option 'stpes'/],
    ['ddim', { steps: 5, eta: 2 }, /eta is 2/],
    ['ddim', { steps: 5, trajectory: 'cubic' }, /trajectory 'cubic' is unknown; use one of uniform/],
    ['ddim', { steps: 5, end: 'middle' }, /end 'middle'/],
    ['ddim', { steps: 5, clip: 'soft' }, /clip has to be/],
    ['ddim', { steps: 5, clip: { dynamic: 2 } }, /clip has to be/],
    ['ddim', { steps: 5, prediction: 'flow' }, /prediction 'flow'/],
    ['ddpm', { steps: 5, variance: 'huge' }, /variance 'huge'/],
    ['ddpm', { steps: 5, lastNoiseClip: -1 }, /lastNoiseClip is -1/],
    ['analytic-ddpm', { steps: 5 }, /needs the option gamma/],
    ['analytic-ddim', { steps: 5, gamma: [0, 1] }, /gamma has 2 entries/],
    ['analytic-ddim', { steps: 5, gamma: goldenMoments.map((m, n) => (n === 7 ? NaN : m)) }, /entry 7/],
  ])('%s refuses %j', (name, options, message) => {
    expect(() => samplers[name](schedule, options as SamplerOptions)).toThrow(message);
  });
});

describe('programs', () => {
  it('cost as many evaluations as steps, whatever the end', () => {
    for (const end of ['data', 'first'] as const)
      expect(samplers.ddim(schedule, { steps: 7, end }).records).toHaveLength(7);
  });

  it('add no noise into the data and limit the last noise', () => {
    const deviations = (options: SamplerOptions): number[] =>
      samplers
        .ddpm(schedule, { steps: 10, variance: 'beta', ...options })
        .records.map(({ variance }) => (variance.kind === 'scalar' ? variance.deviation : 0));
    const free = deviations({});
    const limited = deviations({ lastNoiseClip: 1 });
    expect(free[9]).toBe(0);
    expect(limited[8]! ** 2).toBeCloseTo(9.6627e-5, 9);
    expect(limited.slice(0, 8)).toEqual(free.slice(0, 8));
  });

  it('take clip, prediction and variance from the scheduler', () => {
    const configured = NoiseSchedule.fromSchedulerConfig({
      prediction_type: 'v_prediction',
      variance_type: 'learned_range',
      clip_sample_range: 2,
    });
    const program = samplers.ddpm(configured, { steps: 3 });
    expect(program.head).toBe('learned');
    const [first] = program.records;
    expect(first).toMatchObject({ clip: { kind: 'static', low: -2, high: 2 }, variance: { kind: 'log' } });
    expect(first!.prediction.input).toBeCloseTo(Math.sqrt(configured.alphaBar(1000)), 12);
  });

  it('interpolate the learned range between the two variances', () => {
    const [first] = samplers.ddpm(schedule, { steps: 10, variance: 'learned' }).records;
    const { variance } = first!;
    if (variance.kind !== 'log') throw new Error('expected the log form');
    expect(Math.exp(variance.offset + variance.head)).toBeCloseTo(schedule.betaBarBetween(889, 1000), 12);
    expect(Math.exp(variance.offset - variance.head)).toBeCloseTo(schedule.posteriorVariance(889, 1000), 12);
  });
});
