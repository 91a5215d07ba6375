import type { CaptionedConfigs } from '../../checkpoint/pipelines/trainable-captioned.js';

/** Most tokens of a default vocabulary, and of a text. */
const [VOCABULARY, TOKENS] = [2500, 24];

/** Widths of the default text encoder's states and of the two levels of the default U-Net. */
const [STATES, FIRST, SECOND] = [64, 64, 128];

/**
 * Makes the configurations of networks that nobody has said any for: a text encoder of two layers, and a U-Net of two levels
 * that sees its states at both, and learns the velocity.
 *
 * @param shape - Shape [C, H, W] of the latents.
 */
export function defaultPipeline([channels, height, width]: readonly [number, number, number]): CaptionedConfigs {
  const levels = (name: string): string[] => [`CrossAttn${name}`, `CrossAttn${name}`];
  return {
    textEncoder: {
      architectures: ['CLIPTextModel'],
      model_type: 'clip_text_model',
      hidden_size: STATES,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      intermediate_size: 4 * STATES,
      max_position_embeddings: TOKENS,
      vocab_size: VOCABULARY,
      hidden_act: 'quick_gelu',
      layer_norm_eps: 1e-5,
    },
    unet: {
      _class_name: 'UNet2DConditionModel',
      sample_size: height === width ? height : [height, width],
      in_channels: channels,
      out_channels: channels,
      block_out_channels: [FIRST, SECOND],
      down_block_types: levels('DownBlock2D'),
      mid_block_type: 'UNetMidBlock2DCrossAttn',
      up_block_types: levels('UpBlock2D'),
      layers_per_block: 1,
      cross_attention_dim: STATES,
      // The library's name for the number of heads.
      attention_head_dim: 4,
      norm_num_groups: 16,
      act_fn: 'silu',
    },
    scheduler: {
      _class_name: 'DDIMScheduler',
      num_train_timesteps: 1000,
      beta_start: 0.00085,
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      prediction_type: 'v_prediction',
      clip_sample: false,
      set_alpha_to_one: false,
      steps_offset: 1,
    },
  };
}
