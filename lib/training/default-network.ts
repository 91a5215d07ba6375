/** Most halvings of a default network's maps, and the largest side of maps with attention. */
const [MOST_HALVINGS, ATTENTION_SIDE] = [3, 16];

/** Counts how often both sides can be halved, as far as a default network does. */
function halvingsOf(height: number, width: number): number {
  let halvings = 0;
  while (halvings < MOST_HALVINGS && height % 2 ** (halvings + 1) === 0 && width % 2 ** (halvings + 1) === 0)
    ++halvings;
  return halvings;
}

/**
 * Makes the configuration of a network for images that nobody has said one for: a small `UNet2DModel`, whose maps are halved up
 * to three times, with attention below the size of 16, twice as many channels a level from 16 (grey) or 32 (colour) on. With
 * classes it has one more, the last, that stands for none.
 *
 * @param shape - Shape [C, H, W] of an image.
 * @param classes - Number of classes; 0: not class-conditional.
 */
export function defaultNetwork(
  [channels, height, width]: readonly [number, number, number],
  classes: number,
): Readonly<Record<string, unknown>> {
  const halvings = halvingsOf(height, width);
  const levels = Array.from({ length: halvings + 1 }, (_, level) => level);
  const kinds = levels.map((level) =>
    level > 0 && Math.max(height, width) / 2 ** level <= ATTENTION_SIDE ? 'Attn' : '',
  );
  return {
    _class_name: 'UNet2DModel',
    sample_size: height === width ? height : [height, width],
    in_channels: channels,
    out_channels: channels,
    freq_shift: 1,
    flip_sin_to_cos: false,
    down_block_types: kinds.map((kind) => `${kind}DownBlock2D`),
    up_block_types: kinds.map((kind) => `${kind}UpBlock2D`).reverse(),
    block_out_channels: levels.map((level) => (channels === 1 ? 16 : 32) * 2 ** level),
    layers_per_block: 1,
    attention_head_dim: null,
    norm_num_groups: 8,
    num_class_embeds: classes > 0 ? classes + 1 : null,
  };
}
