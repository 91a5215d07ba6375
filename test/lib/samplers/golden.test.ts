import { describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/run/run-program.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { golden, goldenCase, goldenModel, goldenMoments, maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';

const bao = NoiseSchedule.linear({ networkTime: 'index1' });
const linear = NoiseSchedule.linear();

/** Error of the float32 tables in the code of DPM-Solver and UniPC. */
const float32Tables = 1e-7;

const cases: [
  name: string,
  sampler: SamplerName,
  schedule: NoiseSchedule,
  options: SamplerOptions,
  tolerance?: number,
][] = [
  ['ddpm-small-10', 'ddpm', bao, { steps: 10, variance: 'beta-tilde', clip: 'static' }],
  ['ddim-eta0.5-12', 'ddim', bao, { steps: 12, eta: 0.5, clip: 'static' }],
  ['analytic-ddpm-10', 'analytic-ddpm', bao, { steps: 10, clip: 'static', gamma: goldenMoments }],
  ['npr-ddpm-10', 'npr-ddpm', bao, { steps: 10, clip: 'static' }],
  ['sn-ddim-10', 'sn-ddim', bao, { steps: 10, clip: 'static' }],
  ['euler-maruyama-20', 'euler-maruyama', NoiseSchedule.vp(), { steps: 20 }],
  ['dpm-solver-1-logsnr-10', 'dpm-solver-1', linear, { steps: 10, trajectory: 'logsnr' }],
  ['dpm-solver-2-logsnr-12', 'dpm-solver-2', linear, { steps: 12 }, float32Tables],
  ['dpm-solver-fast-10', 'dpm-solver-fast', linear, { steps: 10 }, float32Tables],
  ['dpm-solver++-2m-uniform-10', 'dpm-solver++-2m', linear, { steps: 10 }, float32Tables],
  [
    'dpm-solver++-3m-uniform-12-as-published',
    'dpm-solver++-3m',
    linear,
    { steps: 12, thirdOrder: 'published' },
    float32Tables,
  ],
  ['unipc-2-bh2-10', 'unipc', linear, { steps: 10 }, float32Tables],
];

/** The network of the golden cases on arrays. */
function model(x: Float32Array, t: number): { out: Float32Array; head: Float32Array } {
  return {
    out: x.map((value) => goldenModel.out(value, t, 0)),
    head: x.map((value) => goldenModel.head?.(value, t, 0) ?? 0),
  };
}

describe('samplers reproduce the published implementations', () => {
  it.each(cases)('%s in float64', (name, sampler, schedule, options, tolerance = 1e-9) => {
    const { noise = [], expected } = goldenCase(name);
    const program = samplers[sampler](schedule, options);
    const result = interpret(asSteps(program), goldenModel, golden.x_T, (index) => noise[index] ?? []);
    expect(maxDifference(result, expected)).toBeLessThan(tolerance);
  });

  it.each(cases)('%s natively', async (name, sampler, schedule, options) => {
    const { noise, expected } = goldenCase(name);
    const result = await runProgram(samplers[sampler](schedule, options), {
      shape: golden.shape,
      init: Float32Array.from(golden.x_T),
      model,
      ...(noise !== undefined && { noise: noise.map((slice) => Float32Array.from(slice)) }),
    });
    expect(maxDifference(result, expected)).toBeLessThan(1e-4);
  });

  it('dpm-solver-23-adaptive, in as many evaluations', async () => {
    const { expected } = goldenCase('dpm-solver-23-adaptive');
    let evaluations = 0;
    const result = await runProgram(samplers['dpm-solver-adaptive'](linear, { order: 3 }), {
      shape: golden.shape,
      init: Float32Array.from(golden.x_T),
      model(x, t) {
        ++evaluations;
        return model(x, t);
      },
    });
    expect(evaluations).toBe(30);
    expect(maxDifference(result, expected)).toBeLessThan(1e-4);
  });

  it('covers every case', () => {
    const covered = [...cases.map(([name]) => name), 'dpm-solver-23-adaptive'];
    expect(covered.sort()).toEqual(golden.cases.map(({ name }) => name).sort());
  });
});
