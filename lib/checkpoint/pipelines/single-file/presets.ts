/** Networks of one kind: which text encoders there are and what the U-Net sees of them. */
export type Architecture = 'sd1' | 'sd2' | 'sdxl' | 'sdxl-refiner';

/** What the tensors of a public model do not tell. */
export interface Preset {
  readonly architecture: Architecture;
  /** True if the U-Net sees a mask and the latents of the masked image. */
  readonly inpaints: boolean;
  /** Heads of every attention of the U-Net, or the width of each. */
  readonly heads: { readonly count: number } | { readonly width: number };
  /** Sinusoids of each number that the U-Net sees beside a text's pooled states (SDXL). */
  readonly numberFeatures: number;
  /** Side of the latents where nothing else is said. */
  readonly sampleSize: number;
  /** Factor of the latents that the diffusion sees. */
  readonly scale: number;
  /** Guidance weight and number of steps where a call says nothing. */
  readonly guidance: number;
  readonly steps: number;
  readonly scheduler: Readonly<Record<string, unknown>>;
}

const betas = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012, num_train_timesteps: 1000 };

const pndm = {
  _class_name: 'PNDMScheduler',
  ...betas,
  skip_prk_steps: true,
  set_alpha_to_one: false,
  steps_offset: 1,
};
const velocity = {
  _class_name: 'DDIMScheduler',
  ...betas,
  prediction_type: 'v_prediction',
  clip_sample: false,
  set_alpha_to_one: false,
  steps_offset: 1,
};
const euler = { _class_name: 'EulerDiscreteScheduler', ...betas, steps_offset: 1, timestep_spacing: 'leading' };
const turbo = { ...betas, steps_offset: 1, timestep_spacing: 'trailing' };

const sd1 = {
  architecture: 'sd1',
  inpaints: false,
  heads: { count: 8 },
  numberFeatures: 256,
  sampleSize: 64,
  scale: 0.18215,
  guidance: 7.5,
  steps: 50,
  scheduler: pndm,
} as const;
const sd2 = { ...sd1, architecture: 'sd2', heads: { width: 64 } } as const;
const sdxl = {
  ...sd2,
  architecture: 'sdxl',
  sampleSize: 128,
  scale: 0.13025,
  guidance: 5,
  scheduler: euler,
} as const;

/** Public models by the names that `config` takes. */
export const pipelinePresets = {
  sd1,
  'sd1-inpaint': { ...sd1, inpaints: true },
  'sd2-base': sd2,
  'sd2-v': { ...sd2, sampleSize: 96, scheduler: velocity },
  'sd-turbo': { ...sd2, guidance: 0, steps: 1, scheduler: { _class_name: 'EulerDiscreteScheduler', ...turbo } },
  sdxl,
  'sdxl-refiner': { ...sdxl, architecture: 'sdxl-refiner' },
  'sdxl-turbo': {
    ...sdxl,
    sampleSize: 64,
    guidance: 0,
    steps: 1,
    scheduler: { _class_name: 'EulerAncestralDiscreteScheduler', ...turbo },
  },
} as const satisfies Readonly<Record<string, Preset>>;

/** Names of the presets of single files. */
export type PipelinePresetName = keyof typeof pipelinePresets;

/** Preset of a file of which nothing is said but what it holds. */
export function presetOf(
  architecture: Architecture,
  inpaints: boolean,
  prediction: 'epsilon' | 'v_prediction' | null,
): Preset {
  const sd2Name = prediction === 'v_prediction' ? 'sd2-v' : 'sd2-base';
  const names = { sd1: 'sd1', sd2: sd2Name, sdxl: 'sdxl', 'sdxl-refiner': 'sdxl-refiner' } as const;
  return { ...pipelinePresets[names[architecture]], inpaints };
}
