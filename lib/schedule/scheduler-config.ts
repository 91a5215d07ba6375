import { DpmError } from '../base/errors.js';
import { ConfigReader } from '../files/config-reader.js';
import type { Clip } from '../program/record.js';
import { cosineBetas, linearBetas, scaledLinearBetas } from './betas.js';
import type { ScheduleDefaults } from './defaults.js';

/** Betas, and what samplers take as defaults. */
export interface BetaScheduler {
  kind: 'betas';
  name: string;
  betas: ArrayLike<number>;
  /** Number, first and last of evenly spaced betas, else null. */
  even: { steps: number; start: number; end: number } | null;
  defaults: Omit<ScheduleDefaults, 'sigmaData' | 'dataRange'>;
}

/** Noise of growing deviation on the data as it is: the VE-SDE (Song et al. 2021) or EDM (Karras et al. 2022). */
export interface ExplodingScheduler {
  kind: 've' | 'edm';
  sigmaMin: number;
  sigmaMax: number;
  /** Deviation of the data that the preconditioning of EDM was made for. */
  sigmaData?: number;
}

export type SchedulerConfig = BetaScheduler | ExplodingScheduler;

/** Schedulers of diffusers for networks that were trained with a table of betas. */
const betaClasses = [
  'DDIMInverseScheduler',
  'DDIMParallelScheduler',
  'DDIMScheduler',
  'DDPMParallelScheduler',
  'DDPMScheduler',
  'DEISMultistepScheduler',
  'DPMSolverMultistepInverseScheduler',
  'DPMSolverMultistepScheduler',
  'DPMSolverSDEScheduler',
  'DPMSolverSinglestepScheduler',
  'EulerAncestralDiscreteScheduler',
  'EulerDiscreteScheduler',
  'HeunDiscreteScheduler',
  'KDPM2AncestralDiscreteScheduler',
  'KDPM2DiscreteScheduler',
  'LMSDiscreteScheduler',
  'PNDMScheduler',
  'RePaintScheduler',
  'SASolverScheduler',
  'UniPCMultistepScheduler',
] as const;

const veClasses = ['ScoreSdeVeScheduler'] as const;
const edmClasses = ['EDMEulerScheduler', 'EDMDPMSolverMultistepScheduler'] as const;

const schedulerClasses = [...betaClasses, ...veClasses, ...edmClasses] as const;

function isOneOf<T extends string>(list: readonly T[], name: string): name is T {
  return (list as readonly string[]).includes(name);
}

function readEdm(config: ConfigReader): ExplodingScheduler {
  config.choice('prediction_type', 'epsilon', ['epsilon']);
  return {
    kind: 'edm',
    sigmaMin: config.number('sigma_min', 0.002),
    sigmaMax: config.number('sigma_max', 80),
    sigmaData: config.number('sigma_data', 0.5),
  };
}

const predictions = { epsilon: 'epsilon', sample: 'x0', v_prediction: 'v' } as const;

const variances = {
  fixed_small: 'beta-tilde',
  fixed_small_log: 'beta-tilde',
  fixed_large: 'beta',
  fixed_large_log: 'beta',
  learned_range: 'learned',
} as const;

function readBetas(config: ConfigReader): Pick<BetaScheduler, 'name' | 'betas' | 'even'> {
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

/** `clips`: what the class does without the field; solvers of diffusers have none. */
function readClip(config: ConfigReader, clips: boolean): Clip {
  if (config.boolean('thresholding', false)) {
    // diffusers limits the dynamic threshold to [1, sample_max_value]: with 1, its default, that is a static clip.
    if (config.number('sample_max_value', 1) !== 1) throw config.unsupported('sample_max_value', '1');
    return { kind: 'static', low: -1, high: 1 };
  }
  if (!config.boolean('clip_sample', clips)) return { kind: 'none' };
  const range = config.number('clip_sample_range', 1);
  return { kind: 'static', low: -range, high: range };
}

/**
 * A diffusers `scheduler_config.json`. Which sampler the class is does not matter, only what the network was trained with.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for another class, and as the fields are read.
 */
export function parseSchedulerConfig(raw: Readonly<Record<string, unknown>>, source: string): SchedulerConfig {
  const config = new ConfigReader(raw, source);
  const name = config.choice('_class_name', 'DDPMScheduler', schedulerClasses);
  if (isOneOf(edmClasses, name)) return readEdm(config);
  if (isOneOf(veClasses, name)) {
    const [sigmaMin, sigmaMax] = [config.number('sigma_min', 0.01), config.number('sigma_max', 1348)];
    return { kind: 've', sigmaMin, sigmaMax };
  }
  return readBetaScheduler(config, source, name);
}

function readBetaScheduler(config: ConfigReader, source: string, className: string): BetaScheduler {
  if (config.boolean('rescale_betas_zero_snr', false)) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${source}: rescale_betas_zero_snr is not supported, only false is`);
  }
  const { name, betas, even } = readBetas(config);
  return {
    kind: 'betas',
    name,
    betas,
    even,
    defaults: {
      clip: readClip(config, /^(DDPM|DDIM|RePaint)/.test(className)),
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
