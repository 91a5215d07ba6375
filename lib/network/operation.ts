/** Sizes of one row of a value. */
export interface Extents {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A map of one row, channels x height x width; a vector is channels x 1 x 1. */
export interface GraphValue extends Extents {
  /** Name under which a caller binds an input or output of the network; null: inside the network. */
  readonly binding: string | null;
  /** `group` for an input that rows of an evaluation can share; absent: each row has its own. */
  readonly varies?: 'group' | undefined;
}

/** Operation of a node, with its own attributes. */
export type Operation =
  /** Sinusoids: (time or label) -> sin(f t) and cos(f t); with a weight W angles 2 pi W t, of the time or its logarithm. */
  | {
      readonly op: 'time_embedding';
      readonly length: number;
      /** Denominator half - shift of the frequencies. */
      readonly frequencyShift: number;
      readonly order: 'sin-cos' | 'cos-sin';
      readonly logarithmic: boolean;
    }
  /** Row: (label or truncated time) -> row of the table in the weight; zero if it has none. */
  | { readonly op: 'embedding' }
  /** Convolution: (map) -> product with the weight, a cross-correlation; `padBefore` above and to the left. Several weights
   * are stacked along the output channels. */
  | {
      readonly op: 'convolution';
      readonly kernel: number;
      readonly stride: number;
      readonly padBefore: number;
      readonly padAfter: number;
    }
  | { readonly op: 'group_norm'; readonly groups: number; readonly epsilon: number }
  /** Normalisation of each pixel over its channels. */
  | { readonly op: 'layer_norm'; readonly epsilon: number }
  /** Gated activation: (map of 2C) -> its first half times the GELU of its second. */
  | { readonly op: 'geglu' }
  /**
   * Attention: (q, k, v and, if given, logits) -> map of q's size; k and v may be of another size, logits [their pixels] are
   * added to those of every query. With `causal` a query attends to itself and to those before it.
   */
  | { readonly op: 'attention'; readonly heads: number; readonly causal?: boolean }
  /** `bias` adds its bias, `channel_add` (map, vector) a vector; `scale_shift` (map, vector of 2C) is map (1 + v) + w. */
  | { readonly op: 'bias' | 'channel_add' | 'scale_shift' | 'silu' | 'add' | 'concat' }
  /** Resampling: twice the size by repetition or the filter [1,3,3,1], half by 2 x 2 means or that filter. */
  | { readonly op: 'average_pool' | 'fir_upsample' }
  /** Repetition to a size, by default twice the map's: element i is input floor(i * input size / size). */
  | { readonly op: 'upsample'; readonly height?: number; readonly width?: number }
  | { readonly op: 'fir_downsample'; readonly padding: number }
  /** Function of every element; SiLU is an operation of its own, which devices fuse. */
  | { readonly op: 'activation'; readonly kind: 'mish' | 'gelu' | 'relu' | 'quick_gelu' | 'tanh' }
  /** View of a range of channels as a map of as many pixels. */
  | ({ readonly op: 'view'; readonly first: number } & Extents)
  /** Product A map B^T with the weights A [H', H] and B [W', W]: means, broadcasts, selections, filters. */
  | { readonly op: 'separable' }
  /** Dropout: (map, bytes of a sample's step and slot) -> 0, or 1 / (1 - rate) times the map's element. */
  | { readonly op: 'dropout'; readonly rate: number }
  /** Position: adds its bias, [C, H W]. */
  | { readonly op: 'position' }
  /** Affine function scale * map + shift. */
  | { readonly op: 'affine'; readonly scale: number; readonly shift: number };

/** One operation over values; weights and biases are indices of constants. */
export type GraphNode = Operation & {
  readonly name: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly weights: readonly number[];
  readonly biases: readonly number[];
};

/** A weight by its canonical name. */
export interface GraphConstant {
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements of a constant that is known beforehand and no weight of a checkpoint. */
  readonly values?: Float32Array;
}
