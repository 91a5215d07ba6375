// Steps that can be taken back: each is the same linear function of the state and of one evaluation as the sampler's own update.
import { describe, expect, it } from 'vitest';

import { affineSteps } from '../../../lib/program/inverse.js';
import type { StepProgram } from '../../../lib/program/program.js';
import { NoiseSchedule, samplers, type SamplerName } from '../../../lib/index.js';
import { applyUpdate, registers } from '../../support/interpreter.js';
import { linear } from '../../support/sampled.js';

const network = (x: number, time: number): number => Math.sin(3 * x + time / 100);
const euler = NoiseSchedule.fromSchedulerConfig({
  _class_name: 'EulerDiscreteScheduler',
  beta_schedule: 'scaled_linear',
});
const v = NoiseSchedule.fromSchedulerConfig({
  _class_name: 'DDIMScheduler',
  beta_schedule: 'scaled_linear',
  prediction_type: 'v_prediction',
  clip_sample: false,
});

describe('the steps of', () => {
  it.each<[SamplerName, NoiseSchedule]>([
    ['ddim', linear],
    ['ddim', v],
    ['probability-flow', linear],
    ['dpm-solver-1', linear],
    ['scheduler', euler],
    ['scheduler', v],
  ])('%s', (name, schedule) => {
    const program = samplers[name](schedule, { steps: 7, clip: 'none' }) as StepProgram;
    const steps = affineSteps(program)!;
    expect(steps.length).toBe(7);
    for (const [i, record] of program.records.entries()) {
      const own = steps[i]!;
      const state = registers([0.3, -1.2, 2], program.history);
      const before = [...state.x];
      const out = before.map((value) => network(record.inputScale * value, record.time));
      state.out = Float64Array.from(out);
      // What the network sees is scaled; the update takes the state itself.
      applyUpdate(record, state, null);
      expect([own.time, own.inputScale]).toEqual([record.time, record.inputScale]);
      for (const [k, value] of before.entries()) {
        expect(own.state * value + own.out * out[k]!).toBeCloseTo(state.x[k]!, 10);
      }
    }
  });

  it.each<[SamplerName, object]>([
    ['ddpm', { clip: 'none' }],
    ['ddim', { clip: 'static' }],
    ['ddim', { clip: 'none', eta: 0.5 }],
    ['dpm-solver++-2m', { clip: 'none' }],
    ['heun', { clip: 'none' }],
    ['full-ddpm', { clip: 'none' }],
  ])('%s with %j need more than that', (name, options) => {
    expect(affineSteps(samplers[name](linear, { steps: 7, ...options }))).toBeNull();
  });
});
