// The noise schedules that configurations of checkpoint families stand for.
import { describe, expect, it } from 'vitest';

import { familyByName } from '../../../lib/checkpoint/families/index.js';
import { presets } from '../../../lib/checkpoint/presets.js';
import { ConfigReader } from '../../../lib/files/config-reader.js';
import type { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';

const schedule = (family: string, config: Record<string, unknown>): NoiseSchedule =>
  familyByName(family).schedule(new ConfigReader(config, 'config.json'), {});

function presetSchedule(name: string): NoiseSchedule {
  const config = presets[name]!;
  return familyByName(config.family).schedule(new ConfigReader(config, name), {});
}

describe('schedules of presets', () => {
  it('see the numbers their networks were trained with', () => {
    const first = (name: string): number[] =>
      [1, 2, presetSchedule(name).steps].map((n) => presetSchedule(name).networkTime(n));
    expect(first('ddpm-cifar10')).toEqual([0, 1, 999]);
    expect(first('analytic-cifar10')).toEqual([1, 2, 1000]);
    expect(first('iddpm-cifar10')).toEqual([0, 0.25, 3999 / 4]);
    expect(first('iddpm-lsun-256')).toEqual([0, 1, 999]);
    expect(presetSchedule('ddpmpp-deep-cifar10').networkTime(0.5)).toBe(499.5);
    expect(presetSchedule('ncsnpp-ve-cifar10').networkTime(3)).toBe(3);
    expect(presetSchedule('analytic-cifar10-cosine').name).toBe('squaredcos_cap_v2');
    expect(presetSchedule('edm-imagenet64-adm').defaults.prediction).toBe('edm');
  });

  it('are cosines where their networks were trained with them', () => {
    const cosine = Object.keys(presets).filter((name) => presetSchedule(name).name === 'squaredcos_cap_v2');
    expect(cosine.sort()).toEqual([
      'adm-imagenet64',
      'analytic-cifar10-cosine',
      'iddpm-cifar10',
      'iddpm-imagenet64',
      'iddpm-imagenet64-class',
    ]);
  });

  it('have the variances of their networks', () => {
    expect(presetSchedule('adm-imagenet64').defaults.variance).toBe('learned');
    expect(schedule('openai', { out_channels: 6, head: {} }).defaults.variance).toBe('beta');
    expect(schedule('openai', {}).defaults.variance).toBe('beta');
    expect(schedule('openai', { sigma_small: true }).defaults.variance).toBe('beta-tilde');
  });
});

describe('times of openai networks', () => {
  it('are rescaled to a thousand by improved-diffusion alone, unless the configuration says so', () => {
    const second = (config: Record<string, unknown>): number =>
      schedule('openai', { diffusion_steps: 4000, ...config }).networkTime(2);
    expect(second({})).toBe(1);
    expect(second({ variant: 'improved-diffusion' })).toBe(0.25);
    expect(second({ variant: 'improved-diffusion', rescale_timesteps: false })).toBe(1);
    expect(second({ rescale_timesteps: true })).toBe(0.25);
  });
});

describe('schedules of score_sde', () => {
  const exploding = { name: 'ncsnpp', scale_by_sigma: true, sigma_min: 0.01, sigma_max: 100 };

  it('count the noise levels of discrete VE networks from the largest', () => {
    const ve = schedule('score_sde', { model: { ...exploding, num_scales: 9 } });
    expect([100, 10, 1, 0.01].map((sigma) => ve.networkTime(sigma))).toEqual([0, 2, 4, 8]);
    const continuous = schedule('score_sde', { model: { ...exploding, embedding_type: 'fourier' } });
    expect(continuous.networkTime(10)).toBe(10);
    // The network of DDPM has no Fourier features, whatever the configuration says.
    const ddpm = { ...exploding, name: 'ddpm', embedding_type: 'fourier', num_scales: 9 };
    expect(schedule('score_sde', { model: ddpm }).networkTime(1)).toBe(4);
  });

  it('are of the SDE that was trained with', () => {
    const named = (sde: string, model: Record<string, unknown> = {}): string =>
      schedule('score_sde', { model, training: { sde } }).name;
    expect(named('vpsde')).toBe('vp');
    expect(named('vesde')).toBe('ve');
    expect(named('vesde', exploding)).toBe('ve');
    expect(() => named('subvpsde')).toThrow(expect.objectContaining({ code: 'ERR_DPM_UNSUPPORTED' }));
    expect(() => named('vpsde', exploding)).toThrow(/scale_by_sigma/);
  });
});

describe('networks of diffusers without a folder', () => {
  it('are taken to have the schedule of DDPM, if they can', () => {
    expect(schedule('diffusers', {}).name).toBe('linear');
    expect(() => schedule('diffusers', { time_embedding_type: 'fourier' })).toThrow(/scheduler_config\.json/);
  });
});
