import { DpmError } from '../base/errors.js';

/** Most halvings of a default network's maps, and the largest side of maps with attention. */
const [MOST_HALVINGS, ATTENTION_SIDE] = [3, 16];

/** Largest side of the last maps of a default classifier. */
const LAST_SIDE = 16;

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

/**
 * Makes the configuration of a classifier for images that nobody has said one for: a small one of guided-diffusion's, whose
 * maps are halved until they have the size of 16, with attention there and as its pool.
 *
 * @param shape - Shape [C, H, W] of an image.
 * @param classes - Number of classes.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for images that are not square.
 */
export function defaultClassifier(
  [channels, height, width]: readonly [number, number, number],
  classes: number,
): Readonly<Record<string, unknown>> {
  if (height !== width) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `a classifier of images of ${height} x ${width}: guided-diffusion's are square`,
    );
  }
  let halvings = 0;
  while (height / 2 ** halvings > LAST_SIDE && height % 2 ** (halvings + 1) === 0) ++halvings;
  return {
    family: 'openai-classifier',
    image_size: height,
    in_channels: channels,
    model_channels: 32,
    out_channels: classes,
    num_res_blocks: 1,
    attention_resolutions: [2 ** halvings],
    channel_mult: Array.from({ length: halvings + 1 }, (_, level) => Math.min(4, 2 ** level)),
    num_head_channels: 32,
    use_scale_shift_norm: true,
    resblock_updown: true,
    pool: 'attention',
  };
}
