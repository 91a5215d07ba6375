import type { Shapes } from './shapes.js';

/**
 * Makes the configuration of an `AutoencoderKL`, in diffusers' fields, from the shapes of its tensors.
 *
 * @param scale - Factor of the latents, which no tensor tells.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming a tensor that does not tell its part.
 */
export function autoencoderConfigOf(shapes: Shapes, scale: number): Record<string, unknown> {
  const levels = Math.max(1, shapes.count('encoder.down.'));
  const widths = Array.from({ length: levels }, (_, level) =>
    shapes.size(`encoder.down.${level}.block.0.conv1.weight`, 0),
  );
  return {
    _class_name: 'AutoencoderKL',
    in_channels: shapes.size('encoder.conv_in.weight', 1),
    out_channels: shapes.size('decoder.conv_out.weight', 0),
    latent_channels: shapes.size('decoder.conv_in.weight', 1),
    block_out_channels: widths,
    down_block_types: widths.map(() => 'DownEncoderBlock2D'),
    up_block_types: widths.map(() => 'UpDecoderBlock2D'),
    layers_per_block: shapes.count('encoder.down.0.block.'),
    mid_block_add_attention: shapes.has('encoder.mid.attn_1'),
    use_quant_conv: shapes.has('quant_conv'),
    use_post_quant_conv: shapes.has('post_quant_conv'),
    scaling_factor: scale,
  };
}

/** Numbers of blocks of the stages of half a small autoencoder, which convolutions without a bias divide. */
function stagesOf(shapes: Shapes, first: number): number[] {
  const stages = [0];
  for (let layer = first; shapes.has(String(layer)) || shapes.has(String(layer + 1)); ++layer) {
    if (shapes.has(`${layer}.conv`)) stages.push((stages.pop() ?? 0) + 1);
    else if (shapes.find(`${layer}.weight`) !== undefined && shapes.find(`${layer}.bias`) === undefined) stages.push(0);
  }
  return stages;
}

/**
 * Makes the configuration of an `AutoencoderTiny`, in diffusers' fields, from the shapes of the original's tensors.
 *
 * @throws {@link DpmError} as {@link autoencoderConfigOf}.
 */
export function tinyConfigOf(encoder: Shapes, decoder: Shapes): Record<string, unknown> {
  const [down, up] = [stagesOf(encoder, 1), stagesOf(decoder, 3)];
  const widths = (shapes: Shapes, layer: string, stages: readonly number[]): number[] =>
    stages.map(() => shapes.size(layer, 0));
  // The last layer is a convolution to the image's channels, before which a stage has ended.
  const last = up.reduce((sum, blocks) => sum + blocks + 2, 0) + 1;
  return {
    _class_name: 'AutoencoderTiny',
    in_channels: encoder.size('0.weight', 1),
    latent_channels: decoder.size('1.weight', 1),
    out_channels: decoder.size(`${last}.weight`, 0),
    encoder_block_out_channels: widths(encoder, '0.weight', down),
    decoder_block_out_channels: widths(decoder, '1.weight', up),
    num_encoder_blocks: down,
    num_decoder_blocks: up,
    act_fn: 'relu',
    scaling_factor: 1,
  };
}
