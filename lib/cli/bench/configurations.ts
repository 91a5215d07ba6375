/** Public configurations that benchmarks run with random weights. */
export const benchConfigurations: Readonly<Record<string, Record<string, unknown>>> = {
  'ddpm-cifar10-32': {
    _class_name: 'UNet2DModel',
    sample_size: 32,
    in_channels: 3,
    out_channels: 3,
    block_out_channels: [128, 256, 256, 256],
    down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
    up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
    layers_per_block: 2,
    downsample_padding: 0,
    freq_shift: 1,
    flip_sin_to_cos: false,
    norm_eps: 1e-6,
    norm_num_groups: 32,
    attention_head_dim: null,
  },
};
