// No field of a scheduler's file is ignored: what changes the library's run changes ours, what does not changes neither, and
// what is not supported is refused by name.
import { describe, expect, it } from 'vitest';

import type { StepProgram } from '../../../../lib/program/program.js';
import { schedulerRun } from '../../../../lib/samplers/scheduler/scheduler.js';
import { NoiseSchedule } from '../../../../lib/schedule/noise-schedule.js';
import { asSteps } from '../../../support/interpreter.js';
import {
  caseProgram,
  isFlow,
  rowDifference,
  runCase,
  runOfConfig as run,
  schedulerCases,
  schedulerFields,
  type SchedulerCase,
} from '../../../support/scheduler-cases.js';

const byName = new Map(schedulerCases.map((each) => [each.name, each]));
const fields = Object.entries(schedulerFields).flatMap(([className, table]) =>
  Object.entries(table).map(([field, uses]): [string, string, typeof uses] => [className, field, uses]),
);

/** Cases of flow matching apart: they are refused as a whole. */
function runnable(names: readonly string[]): SchedulerCase[] {
  return names.map((name) => byName.get(name)!).filter((each) => !isFlow(each));
}

function without({ config }: SchedulerCase, field: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name !== field));
}

/** Everything that says what a run is. A host program is a function; its run is in what its levels and options are. */
function shown(own: SchedulerCase, config: Readonly<Record<string, unknown>>): string {
  const program = caseProgram(own, config);
  if (program.kind === 'step') return JSON.stringify(program);
  return JSON.stringify(schedulerRun(NoiseSchedule.fromSchedulerConfig(config), own.steps));
}

/** The same, or undefined where that is refused. */
function shownOrRefused(own: SchedulerCase, config: Readonly<Record<string, unknown>>): string | undefined {
  try {
    return shown(own, config);
  } catch {
    return undefined;
  }
}

/** Cases where the library's other run is NaN, or an index outside its tables, and ours is the same. */
const brokenThere: ReadonlySet<string> = new Set(['edm-dpm-10 euler_at_final', 'edm-dpm-11 euler_at_final']);

function isBrokenThere({ name, config }: SchedulerCase, field: string): boolean {
  const isTrained = config.trained_betas !== undefined && field === 'num_train_timesteps';
  return isTrained || brokenThere.has(`${name} ${field}`);
}

describe('fields that change the run of diffusers', () => {
  const changing = fields.filter(([, , { changes }]) => runnable(changes).length > 0);

  it.each(changing)('%s: %s changes ours', (_, field, { changes }) => {
    for (const own of runnable(changes).filter((each) => !isBrokenThere(each, field))) {
      expect(shown(own, own.config), own.name).not.toBe(shownOrRefused(own, without(own, field)));
    }
  });

  it('are most of all there are', () => {
    expect(changing.length).toBeGreaterThan(180);
  });
});

describe('fields that do not change the run of diffusers', () => {
  const unchanged = fields.filter(([, , { same }]) => runnable(same).length > 0);

  it.each(unchanged)('%s: %s does not change ours', (_, field, { same }) => {
    for (const own of runnable(same)) {
      if (own.class === 'ScoreSdeVeScheduler') {
        expect(shown(own, own.config), own.name).toBe(shown(own, without(own, field)));
        continue;
      }
      const other: StepProgram = asSteps(caseProgram(own, without(own, field)));
      expect(rowDifference(runCase(own, other).final, runCase(own).final), own.name).toBeLessThan(1e-4);
    }
  });
});

/** Fields without a case that runs here, each with a value that is not the default. */
const refused: readonly [className: string, field: string, value: unknown][] = [
  ...[
    'DPMSolverMultistepScheduler',
    'DPMSolverSinglestepScheduler',
    'DEISMultistepScheduler',
    'UniPCMultistepScheduler',
  ].map((name): [string, string, unknown] => [name, 'use_flow_sigmas', true]),
  ['UniPCMultistepScheduler', 'solver_p', {}],
  ['UniPCMultistepScheduler', 'use_dynamic_shifting', true],
  ['UniPCMultistepScheduler', 'use_dynamic_shifting', null],
  ['UniPCMultistepScheduler', 'shift_terminal', 0.1],
  ['DEISMultistepScheduler', 'algorithm_type', 'deis-2'],
  ['DEISMultistepScheduler', 'solver_type', 'rho'],
];

/** Fields that are read only together with one that is refused, or with an argument that a file cannot give. */
const inert: readonly [className: string, field: string, value: unknown][] = [
  ...[
    'DPMSolverMultistepScheduler',
    'DPMSolverSinglestepScheduler',
    'DEISMultistepScheduler',
    'UniPCMultistepScheduler',
  ].flatMap((name): [string, string, unknown][] => [
    [name, 'flow_shift', 3],
    [name, 'time_shift_type', 'exponential'],
  ]),
  ...['DPMSolverMultistepScheduler', 'DPMSolverSinglestepScheduler', 'DEISMultistepScheduler'].map(
    (name): [string, string, unknown] => [name, 'use_dynamic_shifting', true],
  ),
];

describe('fields without a case', () => {
  it.each(refused)('%s: %s %j is refused by name', (name, field, value) => {
    expect(() => run({ _class_name: name, [field]: value })).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_UNSUPPORTED', message: expect.stringContaining(field) as string }),
    );
  });

  it.each(inert)('%s: %s %j changes nothing', (name, field, value) => {
    expect(run({ _class_name: name, [field]: value })).toEqual(run({ _class_name: name }));
  });

  it('are all of these', () => {
    const known = new Set([...refused, ...inert].map(([name, field]) => `${name} ${field}`));
    const left = fields.filter(
      ([name, field, { changes, same }]) =>
        runnable([...changes, ...same]).length === 0 && !known.has(`${name} ${field}`),
    );
    expect(left).toEqual([]);
  });
});

// `from_config` of one class keeps the fields of another in its file, and the library's classes do not look at them.
describe('fields of other classes', () => {
  it.each<[string, Record<string, unknown>]>([
    ['EulerAncestralDiscreteScheduler', { use_karras_sigmas: true }],
    ['HeunDiscreteScheduler', { interpolation_type: 'log_linear' }],
    ['HeunDiscreteScheduler', { thresholding: true, sample_max_value: 2 }],
    ['EulerDiscreteScheduler', { clip_sample: true, thresholding: true, sample_max_value: 2 }],
    ['PNDMScheduler', { rescale_betas_zero_snr: true }],
    // Read with the prediction of v alone.
    ['EulerDiscreteScheduler', { timestep_type: 'continuous' }],
  ])('%s: %j changes nothing', (name, others) => {
    expect(run({ _class_name: name, ...others })).toEqual(run({ _class_name: name }));
  });

  it.each(['HeunDiscreteScheduler', 'DDIMScheduler'])('%s: what the network sees of Euler is not read', (name) => {
    const config = { _class_name: name, prediction_type: 'v_prediction' };
    expect(run({ ...config, timestep_type: 'continuous' })).toEqual(run(config));
  });

  it.each(['DDIMScheduler', 'DDPMScheduler', 'LCMScheduler'])('%s: the run says its clip', (name) => {
    const clipOf = (config: Record<string, unknown>): unknown => run({ _class_name: name, ...config }).options.clip;
    expect(clipOf({ clip_sample: true })).toBe('static');
    expect(clipOf({ clip_sample: false })).toBe('none');
    const thresholds = { thresholding: true, sample_max_value: 2, dynamic_thresholding_ratio: 0.9 };
    expect(clipOf(thresholds)).toEqual({ dynamic: 0.9, floor: 1, ceiling: 2 });
  });

  it('do not take the place of the own clip', () => {
    const own = { _class_name: 'HeunDiscreteScheduler', clip_sample: true, clip_sample_range: 2 };
    const { clip } = NoiseSchedule.fromSchedulerConfig({ ...own, thresholding: true, sample_max_value: 4 }).defaults;
    expect(clip).toEqual({ kind: 'static', low: -2, high: 2 });
    expect(run({ ...own, thresholding: true }).options.clip).toBe('static');
  });
});

describe('what diffusers cannot run is refused, too', () => {
  it.each<[Record<string, unknown>, number, string, RegExp]>([
    [
      { _class_name: 'DPMSolverMultistepScheduler', algorithm_type: 'dpmsolver' },
      5,
      'ERR_DPM_CONFIG',
      /final_sigmas_type/,
    ],
    [
      {
        _class_name: 'DPMSolverMultistepScheduler',
        algorithm_type: 'sde-dpmsolver',
        solver_order: 3,
        final_sigmas_type: 'sigma_min',
      },
      5,
      'ERR_DPM_UNSUPPORTED',
      /solver_order/,
    ],
    [
      { _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: true, use_beta_sigmas: true },
      5,
      'ERR_DPM_CONFIG',
      /use_beta_sigmas is true, it has to be false beside use_karras_sigmas/,
    ],
    [
      {
        _class_name: 'DPMSolverSinglestepScheduler',
        algorithm_type: 'dpmsolver',
        final_sigmas_type: 'sigma_min',
        thresholding: true,
      },
      6,
      'ERR_DPM_UNSUPPORTED',
      /thresholding/,
    ],
    [
      { _class_name: 'DPMSolverSinglestepScheduler', algorithm_type: 'sde-dpmsolver' },
      5,
      'ERR_DPM_UNSUPPORTED',
      /algorithm_type/,
    ],
    [{ _class_name: 'DPMSolverMultistepScheduler', solver_order: 0 }, 5, 'ERR_DPM_CONFIG', /solver_order/],
    [{ _class_name: 'DPMSolverSinglestepScheduler', solver_order: 4 }, 5, 'ERR_DPM_CONFIG', /solver_order/],
    [{ _class_name: 'DEISMultistepScheduler', solver_order: 0 }, 5, 'ERR_DPM_CONFIG', /solver_order/],
    [{ _class_name: 'UniPCMultistepScheduler', solver_order: 5 }, 5, 'ERR_DPM_CONFIG', /solver_order/],
    ...[-1, 0.5, 1_000_001].map((step): [Record<string, unknown>, number, string, RegExp] => [
      { _class_name: 'UniPCMultistepScheduler', disable_corrector: [step] },
      5,
      'ERR_DPM_CONFIG',
      /disable_corrector/,
    ]),
    [{ _class_name: 'UniPCMultistepScheduler', predict_x0: false }, 5, 'ERR_DPM_CONFIG', /final_sigmas_type/],
    [
      { _class_name: 'EulerAncestralDiscreteScheduler', prediction_type: 'sample' },
      5,
      'ERR_DPM_UNSUPPORTED',
      /prediction_type/,
    ],
    [{ _class_name: 'KDPM2DiscreteScheduler', prediction_type: 'sample' }, 5, 'ERR_DPM_UNSUPPORTED', /prediction_type/],
    [{ _class_name: 'PNDMScheduler', prediction_type: 'sample' }, 5, 'ERR_DPM_UNSUPPORTED', /prediction_type/],
    [{ _class_name: 'PNDMScheduler' }, 3, 'ERR_DPM_CONFIG', /skip_prk_steps/],
    [{ _class_name: 'DDPMScheduler', variance_type: 'fixed_large_log' }, 5, 'ERR_DPM_UNSUPPORTED', /variance_type/],
    [
      { _class_name: 'DDPMScheduler', steps_offset: 1 },
      1000,
      'ERR_DPM_ARGUMENT',
      /timestep_spacing and steps_offset: .* take the time 1000/,
    ],
    [{ _class_name: 'DDIMScheduler', timestep_spacing: 'middle' }, 5, 'ERR_DPM_UNSUPPORTED', /timestep_spacing/],
    [{ _class_name: 'DDIMScheduler', steps_offset: -1 }, 5, 'ERR_DPM_CONFIG', /steps_offset/],
    [{ _class_name: 'DDIMScheduler' }, 1001, 'ERR_DPM_ARGUMENT', /steps is 1001/],
    [{ _class_name: 'LCMScheduler' }, 60, 'ERR_DPM_ARGUMENT', /steps is 60/],
    [{ _class_name: 'UnCLIPScheduler' }, 1, 'ERR_DPM_ARGUMENT', /steps is 1, .* at least 2/],
    [{ _class_name: 'UnCLIPScheduler', beta_schedule: 'linear' }, 5, 'ERR_DPM_UNSUPPORTED', /beta_schedule/],
    [{ _class_name: 'UnCLIPScheduler', variance_type: 'fixed_large' }, 5, 'ERR_DPM_UNSUPPORTED', /variance_type/],
    [{ _class_name: 'UnCLIPScheduler', prediction_type: 'v_prediction' }, 5, 'ERR_DPM_UNSUPPORTED', /prediction_type/],
    [{ _class_name: 'UnCLIPScheduler', trained_betas: [0.1, 0.2] }, 2, 'ERR_DPM_UNSUPPORTED', /trained_betas/],
    [
      { _class_name: 'LCMScheduler', original_inference_steps: 1001 },
      5,
      'ERR_DPM_CONFIG',
      /original_inference_steps is 1001, it has to be at most 1000/,
    ],
    [
      { _class_name: 'LCMScheduler', num_train_timesteps: 20 },
      5,
      'ERR_DPM_CONFIG',
      /original_inference_steps is missing, it has to be at most 20/,
    ],
    [
      { _class_name: 'EDMDPMSolverMultistepScheduler', algorithm_type: 'sde-dpmsolver++', solver_order: 3 },
      5,
      'ERR_DPM_UNSUPPORTED',
      /solver_order/,
    ],
    [
      { trained_betas: [0.1, 0.2, 0.3], num_train_timesteps: 1000 },
      2,
      'ERR_DPM_CONFIG',
      /num_train_timesteps is 1000.* 3/,
    ],
    [{ _class_name: 'EDMEulerScheduler', rho: 0 }, 5, 'ERR_DPM_CONFIG', /rho/],
    [{ _class_name: 'ScoreSdeVeScheduler', sampling_eps: -1 }, 5, 'ERR_DPM_CONFIG', /sampling_eps is -1/],
    [{ _class_name: 'ScoreSdeVeScheduler', sampling_eps: 1.5 }, 5, 'ERR_DPM_CONFIG', /sampling_eps is 1\.5/],
    [
      { _class_name: 'SASolverScheduler' },
      5,
      'ERR_DPM_UNSUPPORTED',
      /_class_name "SASolverScheduler" is not supported/,
    ],
  ])('%j in %d steps', (config, steps, code, message) => {
    expect(() => run(config, steps)).toThrow(message);
    expect(() => run(config, steps)).toThrow(expect.objectContaining({ code }));
  });

  it('a schedule that comes from no file', () => {
    expect(() => schedulerRun(NoiseSchedule.linear(), 5)).toThrow(
      expect.objectContaining({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringContaining('comes from none') as string,
      }),
    );
  });

  it('zero SNR where the network predicts noise', () => {
    const config = { _class_name: 'DDIMScheduler', rescale_betas_zero_snr: true, timestep_spacing: 'trailing' };
    const own: SchedulerCase = { ...schedulerCases[0]!, config, steps: 4 };
    expect(() => caseProgram(own)).toThrow(
      /prediction 'epsilon' says nothing of the data where a state is noise alone/,
    );
  });
});
