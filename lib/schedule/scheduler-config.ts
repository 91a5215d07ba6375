import { DpmError } from '../errors.js';
import { ConfigReader } from '../checkpoint/config-reader.js';
import type { Clip } from '../samplers/program.js';
import { cosineBetas, linearBetas, scaledLinearBetas } from './betas.js';
import type { ScheduleDefaults } from './noise-schedule.js';

export interface SchedulerConfig {
  name: string;
  betas: ArrayLike<number>;
  /** Number, first and last of evenly spaced betas, else null. */
  even: { steps: number; start: number; end: number } | null;
  defaults: Omit<ScheduleDefaults, 'sigmaData'>;
}

const predictions = { epsilon: 'epsilon', sample: 'x0', v_prediction: 'v' } as const;

const variances = {
  fixed_small: 'beta-tilde',
  fixed_small_log: 'beta-tilde',
  fixed_large: 'beta',
  fixed_large_log: 'beta',
  learned_range: 'learned',
} as const;

function readBetas(config: ConfigReader): Pick<SchedulerConfig, 'name' | 'betas' | 'even'> {
  const trained = config.numbersOrNull('trained_betas');
  if (trained !== null) return { name: 'betas', betas: trained, even: null };
  const steps = config.integer('num_train_timesteps', 1000, { least: 2, most: 1_000_000 });
  const start = config.number('beta_start', 1e-4);
  const end = config.number('beta_end', 0.02);
  const name = config.choice('beta_schedule', 'linear', ['linear', 'scaled_linear', 'squaredcos_cap_v2']);
  if (name === 'linear') return { name, betas: linearBetas(steps, start, end), even: { steps, start, end } };
  if (name === 'scaled_linear') return { name, betas: scaledLinearBetas(steps, start, end), even: null };
  return { name, betas: cosineBetas(steps), even: null };
}

function readClip(config: ConfigReader): Clip {
  if (config.boolean('thresholding', false)) {
    // diffusers limits the dynamic threshold to [1, sample_max_value]: with 1, its default, that is a static clip.
    if (config.number('sample_max_value', 1) !== 1) throw config.unsupported('sample_max_value', '1');
    return { kind: 'static', low: -1, high: 1 };
  }
  if (!config.boolean('clip_sample', true)) return { kind: 'none' };
  const range = config.number('clip_sample_range', 1);
  return { kind: 'static', low: -range, high: range };
}

/** A diffusers `scheduler_config.json`: betas, and what samplers take as defaults. */
export function parseSchedulerConfig(raw: Readonly<Record<string, unknown>>, source: string): SchedulerConfig {
  const config = new ConfigReader(raw, source);
  if (config.boolean('rescale_betas_zero_snr', false)) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${source}: rescale_betas_zero_snr is not supported, only false is`);
  }
  const { name, betas, even } = readBetas(config);
  return {
    name,
    betas,
    even,
    defaults: {
      clip: readClip(config),
      prediction: predictions[config.choice('prediction_type', 'epsilon', ['epsilon', 'sample', 'v_prediction'])],
      variance:
        variances[
          config.choice('variance_type', 'fixed_small', [
            'fixed_small',
            'fixed_small_log',
            'fixed_large',
            'fixed_large_log',
            'learned_range',
          ])
        ],
    },
  };
}
