/** Function after the norms of residual blocks: x sigmoid(x), x tanh(ln(1 + e^x)), x Phi(x) or max(x, 0). */
export type Activation = 'silu' | 'mish' | 'gelu' | 'relu';

/** Method of resampling: half the size by 2 x 2 means or the filter [1,3,3,1]; twice by repetition or that filter. */
export type Resampling = 'mean' | 'nearest' | 'fir-down' | 'fir-up';

/**
 * Block of the canonical U-Net. Blocks run in order over a current map `h` and a stack of skips: `push` saves `h`,
 * `pop` replaces `h` by `concat(h, popped)` along channels, `h` first. `name` is the prefix of the block's weights.
 */
export type Block =
  | { kind: 'push' }
  | { kind: 'pop' }
  | {
      /** Residual block. Weights: norm1, conv1, time_emb_proj, norm2, conv2 and, with a shortcut, conv_shortcut. */
      kind: 'residual';
      name: string;
      inChannels: number;
      outChannels: number;
      groups1: number;
      groups2: number;
      epsilon: number;
      /** Use of the time projection: added after conv1, or scale and shift after norm2 (scale first). */
      timeMode: 'add' | 'scale-shift';
      /** Function after both norms, and on the time embedding before its projection. Default `silu`. */
      activation?: Activation;
      /** Resampling between the activation and conv1, applied to both branches. */
      resample: 'none' | Resampling;
      shortcut: 'identity' | 'convolution';
      /** Factor of the block's output. */
      scale: number;
    }
  | {
      /** Attention block. Weights: group_norm, to_q, to_k, to_v [D,C], to_out.0 [C,D], or with two more sides of 1. */
      kind: 'attention';
      name: string;
      channels: number;
      /** Width D of queries, keys and values. Default C. */
      inner?: number;
      /** Number of heads, parts of equal width of D. */
      heads: number;
      /** Number of groups; 0: no group norm before the projections. */
      groups: number;
      epsilon: number;
      scale: number;
    }
  /** Convolution 3x3 of stride 2; `symmetric` pads 1 on all sides, `asymmetric` right and bottom only. */
  | { kind: 'downsample'; name: string; channels: number; padding: 'symmetric' | 'asymmetric' }
  /** Upsampling: nearest x2, then a 3x3 convolution. */
  | { kind: 'upsample'; name: string; channels: number }
  /** Resampling alone. */
  | { kind: 'resample'; method: Resampling }
  /** Resampling of the image that accompanies the maps down, at first the network's input. */
  | { kind: 'image-resample'; method: Resampling }
  /** Combination h = p + h, or h = concat(p, h) along channels, p a 1x1 convolution of the image to h's channels. */
  | { kind: 'image-combine'; name: string; from: number; channels: number; method: 'sum' | 'concat' }
  /** Residual image = h = (p + h) * scale, p a 3x3 convolution of stride 2 of the image, filtered before with `fir`. */
  | { kind: 'image-residual'; name: string; from: number; channels: number; fir: boolean; scale: number }
  /** Sum result = result + a 3x3 convolution `name` of h after the group norm `norm` and SiLU; at first no result. */
  | { kind: 'result-add'; norm: string; name: string; channels: number; to: number; groups: number; epsilon: number }
  | { kind: 'result-resample'; method: Resampling };

/** Canonical U-Net, to which every checkpoint family is mapped. */
export interface UNetDescription {
  inChannels: number;
  outChannels: number;
  height: number;
  width: number;
  /** Width of the first convolution (`conv_in`). */
  baseChannels: number;
  /** True if the network sees 2x - 1 instead of x. */
  centerInput: boolean;
  /** Sizes of the sinusoidal embedding and its two-layer MLP (`time_embedding.linear_1`, `time_embedding.linear_2`). */
  time: {
    /** Length of the sinusoidal embedding. */
    channels: number;
    /** Length after the MLP. */
    embedding: number;
    /** Denominator half - shift of the frequencies. */
    shift: number;
    order: 'sin-cos' | 'cos-sin';
    /** Kind of Fourier features 2 pi W of the time or its logarithm, W in `time_proj.weight`; null: sinusoidal. */
    fourier?: 'linear' | 'logarithmic' | null | undefined;
    /** Number of rows of `time_proj.weight`, if the embedding is its row of the truncated time; null: computed. */
    rows?: number | null | undefined;
  };
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  /**
   * Embedding of a class: a row of `class_embedding.weight` added after the MLP of the time (the default); the row,
   * times sqrt(classes) and with `class_embedding.bias`, before it; or the label, embedded like a time with an MLP of
   * its own (`class_embedding.linear_1`, `class_embedding.linear_2`), after it.
   */
  classEmbedding?: 'row' | 'scaled-row' | 'time' | undefined;
  blocks: Block[];
  /** Output norm and convolution `conv_norm_out`, `conv_out`, to which the result is added; null: the result alone. */
  output: { groups: number; epsilon: number } | null;
  /**
   * Pooling at the end of a classifier, whose outputs are logits: the mean over the map after the output norm, or
   * attention from that mean to its pixels, each with its row of `pool.position`; then `pool.to_out`. Weights of
   * attention: to_q, to_k, to_v. With `features` the output is the map before the output norm.
   */
  pool?: { method: 'mean' } | { method: 'attention'; heads: number } | { method: 'features' } | undefined;
  /** Divisor of the outputs: the time, or the entry of this table at the truncated time. */
  divisor?: 'time' | Float32Array | null | undefined;
  head: HeadDescription | null;
}

/**
 * Head for a second output from the map before the output norm: `<prefix>.norm_out`, `<prefix>.conv_out` and, if
 * `complex`, a residual block `<prefix>.resnet` first.
 */
export interface HeadDescription {
  prefix: string;
  complex: boolean;
  outChannels: number;
  groups: number;
  epsilon: number;
}

/** Counts the channels of the last map, from which the output and its head are computed. */
export function lastChannels({ blocks, baseChannels }: UNetDescription): number {
  const last = blocks.findLast((block) => block.kind === 'residual');
  return last?.outChannels ?? baseChannels;
}
