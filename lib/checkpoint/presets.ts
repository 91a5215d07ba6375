type Presets = Readonly<Record<string, { readonly family: string; readonly [key: string]: unknown }>>;

/** The value of `--config` that stands for a published network, and its configuration. */
export const presets: Presets = {
  ...hoPresets(),
  ...scoreSdePresets(),
  ...openAiPresets(),
  ...classifierPresets(),
  ...edmPresets(),
};

function hoPresets(): Presets {
  const common = { family: 'ho', ch: 128, out_ch: 3, in_channels: 3, num_res_blocks: 2, attn_resolutions: [16] };
  const large = { ...common, resolution: 256, ch_mult: [1, 1, 2, 2, 4, 4] };
  return {
    'ddpm-cifar10': { ...common, resolution: 32, ch_mult: [1, 2, 2, 2] },
    'ddpm-celeba64': { ...common, resolution: 64, ch_mult: [1, 2, 2, 2, 4] },
    'ddpm-lsun-256': large,
    'ddpm-celebahq-256': large,
  };
}

function scoreSdePresets(): Presets {
  const network = (model: Record<string, unknown>, size = 32, centered = true) => ({
    family: 'score_sde',
    model: {
      nf: 128,
      ch_mult: [1, 2, 2, 2],
      num_res_blocks: 4,
      attn_resolutions: [16],
      skip_rescale: true,
      resblock_type: 'biggan',
      ...model,
    },
    data: { image_size: size, num_channels: 3, centered },
  });
  const plain = { name: 'ddpm', num_res_blocks: 2, skip_rescale: false };
  const ncsnpp = { name: 'ncsnpp', fir: true, progressive_input: 'residual' };
  const exploding = { ...ncsnpp, embedding_type: 'fourier', scale_by_sigma: true };
  return {
    'ddpm-sde-cifar10': network(plain),
    'ddpm-sde-256': network({ ...plain, ch_mult: [1, 1, 2, 2, 4, 4] }, 256),
    'ddpmpp-cifar10': network({ name: 'ncsnpp', fir: false }),
    'ddpmpp-deep-cifar10': network({ name: 'ncsnpp', fir: false, num_res_blocks: 8 }),
    'ncsnpp-vp-cifar10': network(ncsnpp),
    'ncsnpp-vp-deep-cifar10': network({ ...ncsnpp, num_res_blocks: 8 }),
    'ncsnpp-ve-cifar10': network(exploding, 32, false),
    'ncsnpp-ve-deep-cifar10': network({ ...exploding, num_res_blocks: 8 }, 32, false),
    'ncsnpp-ve-256': network(
      {
        ...exploding,
        ch_mult: [1, 1, 2, 2, 2, 2, 2],
        num_res_blocks: 2,
        progressive_input: 'input_skip',
        progressive: 'output_skip',
        sigma_max: 348,
      },
      256,
      false,
    ),
  };
}

function openAiPresets(): Presets {
  const improved = (options: Record<string, unknown>) => ({
    family: 'openai',
    variant: 'improved-diffusion',
    out_channels: 6,
    model_channels: 128,
    num_heads: 4,
    use_scale_shift_norm: true,
    ...options,
  });
  const guided = (options: Record<string, unknown>) => ({
    family: 'openai',
    out_channels: 6,
    model_channels: 256,
    num_res_blocks: 2,
    use_scale_shift_norm: true,
    resblock_updown: true,
    num_classes: 1000,
    ...options,
  });
  const cosine = { noise_schedule: 'cosine', diffusion_steps: 4000 };
  const small = { num_res_blocks: 3, attention_resolutions: [2, 4], channel_mult: [1, 2, 2, 2], image_size: 32 };
  /** Bao et al. 2022 count timesteps from 1. */
  const fixedVariance = { out_channels: 3, rescale_timesteps: false, first_timestep: 1 };
  const imagenet64 = { image_size: 64, num_res_blocks: 3, attention_resolutions: [4, 8], channel_mult: [1, 2, 3, 4] };
  const adm256 = guided({
    image_size: 256,
    attention_resolutions: [8, 16, 32],
    channel_mult: [1, 1, 2, 2, 4, 4],
    num_head_channels: 64,
  });
  return {
    'iddpm-cifar10': improved({ ...small, ...cosine }),
    'analytic-cifar10': improved({ ...small, ...fixedVariance }),
    'analytic-cifar10-cosine': improved({ ...small, ...fixedVariance, noise_schedule: 'cosine' }),
    'iddpm-imagenet64': improved({ ...imagenet64, ...cosine }),
    'iddpm-imagenet64-class': improved({
      ...imagenet64,
      ...cosine,
      model_channels: 192,
      num_classes: 1000,
      rescale_timesteps: false,
    }),
    'iddpm-lsun-256': improved({
      image_size: 256,
      num_res_blocks: 2,
      attention_resolutions: [16],
      channel_mult: [1, 1, 2, 2, 4, 4],
      num_heads: 1,
      use_scale_shift_norm: false,
      rescale_timesteps: false,
    }),
    'adm-imagenet64': guided({
      image_size: 64,
      model_channels: 192,
      num_res_blocks: 3,
      attention_resolutions: [2, 4, 8],
      channel_mult: [1, 2, 3, 4],
      num_head_channels: 64,
      use_new_attention_order: true,
      noise_schedule: 'cosine',
    }),
    'adm-imagenet128': guided({
      image_size: 128,
      attention_resolutions: [4, 8, 16],
      channel_mult: [1, 1, 2, 3, 4],
      num_heads: 4,
    }),
    'adm-imagenet256': adm256,
    'adm-256': { ...adm256, num_classes: null },
    'adm-imagenet512': guided({
      image_size: 512,
      attention_resolutions: [16, 32, 64],
      channel_mult: [0.5, 1, 1, 2, 2, 4, 4],
      num_head_channels: 64,
    }),
    'adm-afhq-dog-256': guided({
      image_size: 256,
      model_channels: 128,
      num_res_blocks: 1,
      attention_resolutions: [16],
      channel_mult: [1, 1, 2, 2, 4, 4],
      num_head_channels: 64,
      num_classes: null,
    }),
  };
}

/** Makes presets of the classifiers with which Dhariwal & Nichol 2021 guide their networks. */
function classifierPresets(): Presets {
  const classifier = (size: number, channel_mult: readonly number[], num_res_blocks = 2) => ({
    family: 'openai-classifier',
    image_size: size,
    in_channels: 3,
    model_channels: 128,
    out_channels: 1000,
    num_res_blocks,
    attention_resolutions: [32, 16, 8].map((side) => size / side),
    channel_mult,
    num_head_channels: 64,
    use_scale_shift_norm: true,
    resblock_updown: true,
    pool: 'attention',
  });
  return {
    'classifier-imagenet64': classifier(64, [1, 2, 3, 4], 4),
    'classifier-imagenet128': classifier(128, [1, 1, 2, 3, 4]),
    'classifier-imagenet256': classifier(256, [1, 1, 2, 2, 4, 4]),
    'classifier-imagenet512': classifier(512, [0.5, 1, 1, 2, 2, 4, 4]),
  };
}

function edmPresets(): Presets {
  const song = (options: Record<string, unknown>) => ({
    family: 'edm',
    kind: 'SongUNet',
    img_resolution: 32,
    in_channels: 3,
    out_channels: 3,
    model_channels: 128,
    channel_mult: [2, 2, 2],
    num_blocks: 4,
    attn_resolutions: [16],
    augment_dim: 9,
    ...options,
  });
  const ncsnpp = {
    embedding_type: 'fourier',
    channel_mult_noise: 2,
    encoder_type: 'residual',
    resample_filter: [1, 3, 3, 1],
  };
  const faces = { img_resolution: 64, channel_mult: [1, 2, 2, 2] };
  return {
    'edm-cifar10-ddpmpp': song({}),
    'edm-cifar10-ddpmpp-class': song({ label_dim: 10 }),
    'edm-cifar10-ncsnpp': song(ncsnpp),
    'edm-cifar10-ncsnpp-class': song({ ...ncsnpp, label_dim: 10 }),
    'edm-ffhq64-ddpmpp': song(faces),
    'edm-ffhq64-ncsnpp': song({ ...faces, ...ncsnpp }),
    'edm-imagenet64-adm': {
      family: 'edm',
      kind: 'DhariwalUNet',
      img_resolution: 64,
      in_channels: 3,
      out_channels: 3,
      model_channels: 192,
      channel_mult: [1, 2, 3, 4],
      num_blocks: 3,
      attn_resolutions: [32, 16, 8],
      label_dim: 1000,
    },
  };
}

export const presetNames = Object.keys(presets);
