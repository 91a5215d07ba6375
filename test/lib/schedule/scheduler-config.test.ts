import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';

describe('scheduler configurations', () => {
  it('takes the library defaults', () => {
    const schedule = NoiseSchedule.fromSchedulerConfig({ _class_name: 'DDPMScheduler' });
    expect(schedule.steps).toBe(1000);
    expect(schedule.defaults).toEqual({
      clip: { kind: 'static', low: -1, high: 1 },
      prediction: 'epsilon',
      variance: 'beta-tilde',
      sigmaData: 0.5,
      dataRange: [-1, 1],
    });
  });

  // Defaults of the library's classes that runs of them do not show, or that have none.
  it.each<[string, [number, number], 'static' | 'none', string[]]>([
    ['DDIMInverseScheduler', [1e-4, 0.02], 'static', ['rescale_betas_zero_snr']],
    ['DDIMScheduler', [1e-4, 0.02], 'static', ['rescale_betas_zero_snr']],
    ['DDPMScheduler', [1e-4, 0.02], 'static', ['rescale_betas_zero_snr', 'sigmoid', 'laplace']],
    ['DEISMultistepScheduler', [1e-4, 0.02], 'none', []],
    ['DPMSolverMultistepInverseScheduler', [1e-4, 0.02], 'none', []],
    ['DPMSolverMultistepScheduler', [1e-4, 0.02], 'none', ['rescale_betas_zero_snr']],
    ['DPMSolverSDEScheduler', [0.00085, 0.012], 'none', []],
    ['DPMSolverSinglestepScheduler', [1e-4, 0.02], 'none', []],
    ['EulerAncestralDiscreteScheduler', [1e-4, 0.02], 'none', ['rescale_betas_zero_snr']],
    ['EulerDiscreteScheduler', [1e-4, 0.02], 'none', ['rescale_betas_zero_snr']],
    ['HeunDiscreteScheduler', [0.00085, 0.012], 'none', ['exp']],
    ['KDPM2AncestralDiscreteScheduler', [0.00085, 0.012], 'none', []],
    ['KDPM2DiscreteScheduler', [0.00085, 0.012], 'none', []],
    ['LCMScheduler', [0.00085, 0.012], 'none', ['rescale_betas_zero_snr']],
    ['LMSDiscreteScheduler', [1e-4, 0.02], 'none', []],
    ['PNDMScheduler', [1e-4, 0.02], 'none', []],
    ['RePaintScheduler', [1e-4, 0.02], 'static', ['sigmoid']],
    ['SASolverScheduler', [1e-4, 0.02], 'none', []],
    ['UniPCMultistepScheduler', [1e-4, 0.02], 'none', ['rescale_betas_zero_snr']],
  ])('knows what %s takes', (_class_name, betas, clip, known) => {
    const of = (fields: object = {}): NoiseSchedule => NoiseSchedule.fromSchedulerConfig({ _class_name, ...fields });
    const own = of();
    expect(own.name).toBe(_class_name === 'LCMScheduler' ? 'scaled_linear' : 'linear');
    expect(
      [own.betaBarBetween(0, 1), own.betaBarBetween(999, 1000)].map((beta) => Number(beta.toPrecision(9))),
    ).toEqual(betas);
    expect(own.defaults.clip.kind).toBe(clip);
    expect(of({ rescale_betas_zero_snr: true }).alphaBar(1000) === 0).toBe(known.includes('rescale_betas_zero_snr'));
    for (const beta_schedule of ['sigmoid', 'laplace', 'exp']) {
      if (known.includes(beta_schedule)) expect(of({ beta_schedule }).name).toBe(beta_schedule);
      else expect(() => of({ beta_schedule })).toThrow(/beta_schedule ".*" is not supported/);
    }
    // Classes that draw no noise of it read the mean alone.
    if (_class_name !== 'DDPMScheduler') expect(of({ variance_type: 'learned' }).defaults.variance).toBe('beta-tilde');
  });

  it.each([
    [null, 'beta-tilde'],
    ['fixed_small', 'beta-tilde'],
    ['fixed_small_log', 'beta-tilde'],
    ['fixed_large', 'beta'],
    ['fixed_large_log', 'beta'],
    ['learned_range', 'learned'],
  ])('has the variance_type %s for %s', (variance_type, variance) => {
    for (const _class_name of ['DDPMScheduler', 'DPMSolverMultistepScheduler']) {
      expect(NoiseSchedule.fromSchedulerConfig({ _class_name, variance_type }).defaults.variance).toBe(variance);
    }
  });

  it.each([
    [{ sample_max_value: 1 }, { kind: 'static', low: -1, high: 1 }],
    [{ sample_max_value: 2 }, { kind: 'dynamic', quantile: 0.995, floor: 1, ceiling: 2 }],
    [{ sample_max_value: 0.5 }, { kind: 'dynamic', quantile: 0.995, floor: 1, ceiling: 0.5 }],
    [
      { sample_max_value: 2, dynamic_thresholding_ratio: 1 },
      { kind: 'dynamic', quantile: 1, floor: 1, ceiling: 2 },
    ],
  ])('has thresholds: %j', (fields, clip) => {
    expect(NoiseSchedule.fromSchedulerConfig({ thresholding: true, ...fields }).defaults.clip).toEqual(clip);
  });

  it('has none of a class that clips and has no thresholds', () => {
    const fields = { clip_sample_range: 2, thresholding: true, sample_max_value: 4 };
    for (const _class_name of ['DDIMInverseScheduler', 'RePaintScheduler']) {
      const { clip } = NoiseSchedule.fromSchedulerConfig({ _class_name, ...fields }).defaults;
      expect(clip).toEqual({ kind: 'static', low: -2, high: 2 });
    }
  });

  it('knows that DALL-E 2 has one schedule and clips to its range', () => {
    const own = NoiseSchedule.fromSchedulerConfig({ _class_name: 'UnCLIPScheduler', clip_sample_range: 5 });
    expect([own.name, own.steps]).toEqual(['squaredcos_cap_v2', 1000]);
    expect(own.defaults).toMatchObject({ clip: { kind: 'static', low: -5, high: 5 }, prediction: 'epsilon' });
  });

  it('takes as many times as there are trained betas', () => {
    expect(NoiseSchedule.fromSchedulerConfig({ trained_betas: [0.1, 0.2, 0.3] }).steps).toBe(3);
  });

  it('goes by options before the file', () => {
    const sees = {
      _class_name: 'EulerDiscreteScheduler',
      prediction_type: 'v_prediction',
      timestep_type: 'continuous',
    };
    expect(NoiseSchedule.fromSchedulerConfig(sees).networkTime(10)).toBeLessThan(0);
    const named = NoiseSchedule.fromSchedulerConfig(sees, { networkTime: 'index', defaults: { prediction: 'x0' } });
    expect(named.networkTime(10)).toBe(9);
    expect(named.defaults.prediction).toBe('x0');
  });

  it('says by its class what the network was trained with', () => {
    const of = (config: Record<string, unknown>): NoiseSchedule => NoiseSchedule.fromSchedulerConfig(config);
    expect(of({ _class_name: 'PNDMScheduler', beta_schedule: 'scaled_linear' }).name).toBe('scaled_linear');
    const ve = of({ _class_name: 'ScoreSdeVeScheduler', sigma_max: 348 });
    expect(ve).toMatchObject({ name: 've', noisiest: 348, cleanest: 0.01, defaults: { prediction: 'score' } });
    const edm = of({ _class_name: 'EDMEulerScheduler', sigma_data: 0.6 });
    expect(edm).toMatchObject({ name: 'edm', noisiest: 80, defaults: { prediction: 'edm', sigmaData: 0.6 } });
  });

  it.each([
    [{ _class_name: 'FlowMatchEulerDiscreteScheduler' }, 'ERR_DPM_UNSUPPORTED', /_class_name/],
    [{ _class_name: 'EDMEulerScheduler', prediction_type: 'sample' }, 'ERR_DPM_UNSUPPORTED', /prediction_type/],
    [{ _class_name: 'DDIMScheduler', beta_schedule: 'sigmoid' }, 'ERR_DPM_UNSUPPORTED', /beta_schedule/],
    [{ rescale_betas_zero_snr: 1 }, 'ERR_DPM_CONFIG', /rescale_betas_zero_snr/],
    [{ thresholding: true, sample_max_value: 0 }, 'ERR_DPM_CONFIG', /sample_max_value/],
    [{ thresholding: true, dynamic_thresholding_ratio: 1.5 }, 'ERR_DPM_CONFIG', /dynamic_thresholding_ratio/],
    [{ variance_type: 'learned' }, 'ERR_DPM_UNSUPPORTED', /variance_type/],
    [{ beta_start: NaN }, 'ERR_DPM_CONFIG', /beta_start is NaN, it has to be a number/],
    [{ _class_name: 'EDMEulerScheduler', sigma_max: Infinity }, 'ERR_DPM_CONFIG', /sigma_max is Infinity/],
    [{ num_train_timesteps: '1000' }, 'ERR_DPM_CONFIG', /num_train_timesteps/],
    [{ prediction_type: 'flow' }, 'ERR_DPM_UNSUPPORTED', /prediction_type/],
    [{ trained_betas: [0.1, 'x'] }, 'ERR_DPM_CONFIG', /trained_betas/],
    [{ trained_betas: [0.1, Infinity] }, 'ERR_DPM_CONFIG', /trained_betas is .* an array of numbers/],
  ])('refuses %j', (config, code, message) => {
    const make = (): NoiseSchedule => NoiseSchedule.fromSchedulerConfig(config);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code }));
  });
});
