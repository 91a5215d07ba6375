import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import type { NetworkTime } from '../../schedule/network-time.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../../schedule/schedule-options.js';
import { staticClip, stepRange } from '../family-schedule.js';

/** Reads a section of score_sde's configurations; an empty one if there is none. */
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

/** Makes the schedule of the VP-SDE or, for networks scaled by sigma, of the VE-SDE. */
export function scoreSdeSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
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
