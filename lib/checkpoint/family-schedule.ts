import type { UNetDescription } from '../network/description.js';
import { centredRange, unitRange } from '../base/pixel-range.js';
import type { Clip } from '../program/record.js';
import type { NetworkTime } from '../schedule/network-time.js';
import { NoiseSchedule, type ScheduleOptions } from '../schedule/noise-schedule.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';

/** Options of a network's schedule: networks that centre their input themselves are of data in [0, 1]. */
export function ofNetwork(unet: UNetDescription, options: ScheduleOptions): ScheduleOptions {
  const dataRange = unet.centerInput ? unitRange : centredRange;
  return { ...options, defaults: { dataRange, ...options.defaults } };
}

/** Clipping to the interval of the data, the default of the variance-preserving families. */
function staticClip({ defaults }: ScheduleOptions): Clip {
  const [low, high] = defaults?.dataRange ?? centredRange;
  return { kind: 'static', low, high };
}

const stepRange = { least: 2, most: 1_000_000 };

/** A section of score_sde's configurations; an empty one where there is none. */
function section(config: ConfigReader, name: string): ConfigReader {
  const raw = config.raw(name);
  return new ConfigReader(isJsonObject(raw) ? raw : {}, `${config.source}: ${name}`);
}

/** The number of the noise level that discrete VE networks see, the largest deviation first (Song et al. 2021). */
function levelOf(sigmaMin: number, sigmaMax: number, levels: number): (sigma: number) => number {
  return (sigma) => Math.round((levels - 1) * (1 - Math.log(sigma / sigmaMin) / Math.log(sigmaMax / sigmaMin)));
}

function veSchedule(model: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const [sigmaMin, sigmaMax] = [model.number('sigma_min', 0.01), model.number('sigma_max', 50)];
  const isFourier =
    model.string('name', 'ddpm') === 'ncsnpp' && model.string('embedding_type', 'positional') === 'fourier';
  const networkTime: NetworkTime = isFourier
    ? 'sigma'
    : levelOf(sigmaMin, sigmaMax, model.integer('num_scales', 1000, stepRange));
  return NoiseSchedule.ve({ sigmaMin, sigmaMax, networkTime, ...options });
}

function scoreSdeSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const model = section(config, 'model');
  const scaled = model.boolean('scale_by_sigma', false);
  const sde = section(config, 'training').choice('sde', scaled ? 'vesde' : 'vpsde', ['vpsde', 'vesde']);
  if (sde === 'vpsde' && scaled) throw config.error('training', 'of the VE-SDE where scale_by_sigma is true');
  if (sde === 'vesde') return veSchedule(model, options);
  return NoiseSchedule.vp({
    start: model.number('beta_min', 0.1),
    end: model.number('beta_max', 20),
    steps: model.integer('num_scales', 1000, stepRange),
    ...options,
    defaults: { clip: staticClip(options), ...options.defaults },
  });
}

function openAiSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const improved = config.string('variant', 'guided-diffusion') === 'improved-diffusion';
  const steps = config.integer('diffusion_steps', 1000, stepRange);
  // With a head the network's own variance is not used.
  const isLearned =
    (config.raw('head') ?? null) === null && config.number('out_channels', 3) === 2 * config.number('in_channels', 3);
  const first = config.integer('first_timestep', 0, { least: 0, most: 1 });
  const rescales = config.boolean('rescale_timesteps', improved);
  if (first === 1 && rescales && steps !== 1000) throw config.unsupported('first_timestep', '0 with rescale_timesteps');
  const common: ScheduleOptions = {
    networkTime: first === 1 ? 'index1' : rescales ? 'rescaled' : 'index',
    ...options,
    defaults: {
      clip: staticClip(options),
      variance: isLearned ? 'learned' : config.boolean('sigma_small', false) ? 'beta-tilde' : 'beta',
      ...options.defaults,
    },
  };
  return config.choice('noise_schedule', 'linear', ['linear', 'cosine']) === 'linear'
    ? NoiseSchedule.linear({ steps, ...common })
    : NoiseSchedule.cosine({ steps, ...common });
}

/** Ho's, which a diffusers network without its folder is taken to have too. */
function linearSchedule(options: ScheduleOptions): NoiseSchedule {
  return NoiseSchedule.linear({ ...options, defaults: { clip: staticClip(options), ...options.defaults } });
}

/**
 * The noise schedule a family's networks are trained with, as far as its configuration does not say otherwise: the linear
 * one of Ho et al. 2020; the VP-SDE or, for networks scaled by sigma, the VE-SDE; what `noise_schedule` and
 * `diffusion_steps` name; that of EDM.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function familySchedule(
  family: string,
  raw: Readonly<Record<string, unknown>>,
  source: string,
  options: ScheduleOptions,
): NoiseSchedule {
  const config = new ConfigReader(raw, source);
  switch (family) {
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
    case 'diffusers':
      if (config.raw('time_embedding_type') === 'fourier') {
        throw config.error('time_embedding_type', 'positional without a scheduler_config.json: give the folder');
      }
      return linearSchedule(options);
    default:
      return linearSchedule(options);
  }
}
