import { ConfigReader, widthRange } from '../../files/config-reader.js';
import type { ControlDescription } from '../../network/conditional-description.js';
import { parseConditionalConfig } from './conditional-config.js';

/** Fields of a ControlNet that a U-Net does not have. */
const ownFields = [
  'conditioning_channels',
  'conditioning_embedding_out_channels',
  'controlnet_conditioning_channel_order',
  'global_pool_conditions',
];

/** Fields of a U-Net that a ControlNet does not have. */
const foreignFields = [
  'up_block_types',
  'out_channels',
  'center_input_sample',
  'conv_in_kernel',
  'conv_out_kernel',
  'time_cond_proj_dim',
  'time_embedding_dim',
  'reverse_transformer_layers_per_block',
];

/** Most widths of the embedding of a picture, each but the first of which halves its sides. */
const MOST_WIDTHS = 8;

/** Gives blocks on the way up that mirror those on the way down, which a ControlNet does not have. */
function mirrored(blocks: unknown): unknown {
  if (!Array.isArray(blocks)) return blocks;
  const types: unknown[] = blocks;
  return types.map((type) => (type === 'CrossAttnDownBlock2D' ? 'CrossAttnUpBlock2D' : 'UpBlock2D')).reverse();
}

/**
 * Reads the configuration of a `ControlNetModel` of diffusers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parseControlConfig(raw: Readonly<Record<string, unknown>>, source: string): ControlDescription {
  const config = new ConfigReader(raw, source);
  config.choice('_class_name', 'ControlNetModel', ['ControlNetModel']);
  const foreign = foreignFields.find((name) => (config.raw(name) ?? null) !== null);
  if (foreign !== undefined) throw config.unsupported(foreign, 'none, as ControlNets have no such field');
  if (config.boolean('global_pool_conditions', false)) throw config.unsupported('global_pool_conditions', 'false');
  const widths = config.integers('conditioning_embedding_out_channels', [16, 32, 96, 256], widthRange);
  if (widths.length < 1 || widths.length > MOST_WIDTHS) {
    throw config.error('conditioning_embedding_out_channels', `1 to ${MOST_WIDTHS} widths`);
  }
  const shared = Object.fromEntries(Object.entries(raw).filter(([name]) => !ownFields.includes(name)));
  const { description } = parseConditionalConfig(
    {
      ...shared,
      _class_name: 'UNet2DConditionModel',
      ...(config.has('down_block_types') && { up_block_types: mirrored(config.raw('down_block_types')) }),
    },
    source,
  );
  return {
    encoder: description,
    hint: {
      channels: config.integer('conditioning_channels', 3, widthRange),
      widths,
      order: config.choice('controlnet_conditioning_channel_order', 'rgb', ['rgb', 'bgr']),
    },
  };
}
