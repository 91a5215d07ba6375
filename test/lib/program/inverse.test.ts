// Steps that can be taken back: each is the same linear function of the state and of one evaluation as the sampler's own update.
import { describe, expect, it } from 'vitest';

import { linear as updateOf, stepProgram, stepRecord } from '../../../lib/program/builder.js';
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

it('a step whose stored value has a part of the state is one of them', () => {
  const update = updateOf({ x: 0.5, out: 2, history: [0, 3] });
  const record = stepRecord({
    time: 7,
    prediction: { input: 0.25, output: -1 },
    store: { slot: 1, input: 0.75, data: 2 },
    x: update,
  });
  // 3 (0.75 x + 2 (0.25 x - f)) on top of 0.5 x + 2 f.
  expect(affineSteps(stepProgram([record]))).toEqual([{ time: 7, inputScale: 1, state: 4.25, out: -4 }]);
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
