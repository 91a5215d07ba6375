import type { Clip } from '../samplers/program.js';
import { NoiseSchedule, type ScheduleOptions } from '../schedule/noise-schedule.js';
import { ConfigReader, isJsonObject } from './config-reader.js';

const unitClip: Clip = { kind: 'static', low: -1, high: 1 };

const stepRange = { least: 2, most: 1_000_000 };

function scoreSdeSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const raw = config.raw('model');
  const model = new ConfigReader(isJsonObject(raw) ? raw : {}, `${config.source}: model`);
  if (model.boolean('scale_by_sigma', false)) {
    return NoiseSchedule.ve({
      sigmaMin: model.number('sigma_min', 0.01),
      sigmaMax: model.number('sigma_max', 50),
      ...options,
    });
  }
  return NoiseSchedule.vp({
    start: model.number('beta_min', 0.1),
    end: model.number('beta_max', 20),
    steps: model.integer('num_scales', 1000, stepRange),
    ...options,
    defaults: { clip: unitClip, ...options.defaults },
  });
}

function openAiSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const improved = config.string('variant', 'guided-diffusion') === 'improved-diffusion';
  const steps = config.integer('diffusion_steps', 1000, stepRange);
  const isLearned = config.number('out_channels', 3) === 2 * config.number('in_channels', 3);
  const common: ScheduleOptions = {
    networkTime: config.boolean('rescale_timesteps', improved) ? 'rescaled' : 'index',
    ...options,
    defaults: { clip: unitClip, variance: isLearned ? 'learned' : 'beta-tilde', ...options.defaults },
  };
  return config.choice('noise_schedule', 'linear', ['linear', 'cosine']) === 'linear'
    ? NoiseSchedule.linear({ steps, ...common })
    : NoiseSchedule.cosine({ steps, ...common });
}

/**
 * The noise schedule a family's networks are trained with, as far as its configuration does not say otherwise: the linear
 * one of Ho et al. 2020; the VP-SDE or, for networks scaled by sigma, the VE-SDE; what `noise_schedule` and
 * `diffusion_steps` name; that of EDM.
 */
export function familySchedule(
  raw: Readonly<Record<string, unknown>>,
  source: string,
  options: ScheduleOptions,
): NoiseSchedule {
  const config = new ConfigReader(raw, source);
  switch (config.string('family')) {
    case 'score_sde':
      return scoreSdeSchedule(config, options);
    case 'openai':
      return openAiSchedule(config, options);
    case 'edm':
      return NoiseSchedule.edm({
        sigmaData: config.number('sigma_data', 0.5),
        sigmaMin: config.number('sigma_min', 0.002),
        sigmaMax: config.number('sigma_max', 80),
        ...options,
      });
    default:
      return NoiseSchedule.linear({ ...options, defaults: { clip: unitClip, ...options.defaults } });
  }
}
