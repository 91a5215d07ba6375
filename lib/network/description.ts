/** Between the norms and convolutions of residual blocks: x sigmoid(x), x tanh(ln(1 + e^x)), x Phi(x) or max(x, 0). */
export type Activation = 'silu' | 'mish' | 'gelu' | 'relu';

/** Half the size by means of 2 x 2 or the filter [1,3,3,1], twice the size by repetition or that filter. */
export type Resampling = 'mean' | 'nearest' | 'fir-down' | 'fir-up';

/**
 * One block of the canonical U-Net. Blocks run in order over a current map `h` and a stack of skips:
 * `push` saves `h`, `pop` replaces `h` by `concat(h, popped)` along channels, `h` first.
 * `name` is the prefix of the block's weights.
 */
export type Block =
  | { kind: 'push' }
  | { kind: 'pop' }
  | {
      /** Weights: norm1, conv1, time_emb_proj, norm2, conv2 and, where there is a shortcut, conv_shortcut. */
      kind: 'residual';
      name: string;
      inChannels: number;
      outChannels: number;
      groups1: number;
      groups2: number;
      epsilon: number;
      /** How the time projection enters: added after conv1, or scale and shift after norm2 (scale first). */
      timeMode: 'add' | 'scale-shift';
      /** Behind both norms, and of the time embedding before its projection. Default `silu`. */
      activation?: Activation;
      /** Resampling between the activation and conv1, applied to both branches. */
      resample: 'none' | Resampling;
      shortcut: 'identity' | 'convolution';
      /** The block's output is multiplied by this. */
      scale: number;
    }
  | {
      /** Weights: group_norm, to_q, to_k, to_v [D,C] and to_out.0 [C,D], or with two sides of 1 behind. */
      kind: 'attention';
      name: string;
      channels: number;
      /** D, of queries, keys and values; default C. */
      inner?: number;
      /** Parts of equal width of D. */
      heads: number;
      /** 0: no group norm before the projections. */
      groups: number;
      epsilon: number;
      scale: number;
    }
  /** 3x3 convolution of stride 2; `symmetric` pads 1 on all sides, `asymmetric` right and bottom only. */
  | { kind: 'downsample'; name: string; channels: number; padding: 'symmetric' | 'asymmetric' }
  /** Nearest x2, then a 3x3 convolution. */
  | { kind: 'upsample'; name: string; channels: number }
  /** Resampling alone. */
  | { kind: 'resample'; method: Resampling }
  /** The image that accompanies the maps down, at first the network's input. */
  | { kind: 'image-resample'; method: Resampling }
  /** h = p + h, or h = concat(p, h) along channels, p a 1x1 convolution of the image to h's channels. */
  | { kind: 'image-combine'; name: string; from: number; channels: number; method: 'sum' | 'concat' }
  /** image = h = (p + h) * scale, p the image at half the size by a 3x3 convolution of stride 2, filtered first with `fir`. */
  | { kind: 'image-residual'; name: string; from: number; channels: number; fir: boolean; scale: number }
  /** result = result + a 3x3 convolution `name` of h behind the group norm `norm` and SiLU; the result is nothing at first. */
  | { kind: 'result-add'; norm: string; name: string; channels: number; to: number; groups: number; epsilon: number }
  | { kind: 'result-resample'; method: Resampling };

/** The canonical U-Net: what every checkpoint family is mapped to. */
export interface UNetDescription {
  inChannels: number;
  outChannels: number;
  height: number;
  width: number;
  /** Width of the first convolution (`conv_in`). */
  baseChannels: number;
  /** The network sees 2x - 1 instead of x. */
  centerInput: boolean;
  /** Sinusoidal embedding and its two-layer MLP (`time_embedding.linear_1`, `time_embedding.linear_2`). */
  time: {
    /** Length of the sinusoidal embedding. */
    channels: number;
    /** Length after the MLP. */
    embedding: number;
    /** Denominator half - shift of the frequencies. */
    shift: number;
    order: 'sin-cos' | 'cos-sin';
    /** Frequencies 2 pi W of the weight `time_proj.weight` instead, of the time or its logarithm; null: sinusoidal. */
    fourier?: 'linear' | 'logarithmic' | null | undefined;
    /** Instead the row of the truncated time in `time_proj.weight`, which has so many; null: computed. */
    rows?: number | null | undefined;
  };
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  /**
   * What is added for a class: a row of `class_embedding.weight` behind the MLP of the time (the default); the row, times
   * sqrt(classes) and with `class_embedding.bias`, before it; or the label, embedded like a time with an MLP of its own
   * (`class_embedding.linear_1`, `class_embedding.linear_2`) behind it.
   */
  classEmbedding?: 'row' | 'scaled-row' | 'time' | undefined;
  blocks: Block[];
  /** Output norm and convolution `conv_norm_out`, `conv_out`, to which the result is added; null: the result alone. */
  output: { groups: number; epsilon: number } | null;
  /**
   * How a classifier, whose outputs are logits, ends: by the mean over the map that leaves the output norm, or by the attention of that
   * mean to its pixels, each with its row of `pool.position`; then `pool.to_out`. Weights of attention: to_q, to_k, to_v. With `features` the
   * map that enters the output norm is the output.
   */
  pool?: { method: 'mean' } | { method: 'attention'; heads: number } | { method: 'features' } | undefined;
  /** What the outputs are divided by: the time, or the entry of this table at the truncated time. */
  divisor?: 'time' | Float32Array | null | undefined;
  /**
   * A second output from the map that enters the output norm: `<prefix>.norm_out`, `<prefix>.conv_out` and, when
   * `complex`, a residual block `<prefix>.resnet` first.
   */
  head: { prefix: string; complex: boolean; outChannels: number; groups: number; epsilon: number } | null;
}

/** Channels of the last map, from which the output and its head are computed. */
export function lastChannels({ blocks, baseChannels }: UNetDescription): number {
  const last = blocks.findLast((block) => block.kind === 'residual');
  return last?.outChannels ?? baseChannels;
}
