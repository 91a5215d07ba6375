/** Sizes of one row of a value. */
export interface Extents {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A map of one row, channels x height x width; a vector is channels x 1 x 1. */
export interface GraphValue extends Extents {
  /** The name of an input or output of the network under which a caller binds it; null: inside the network. */
  readonly binding: string | null;
}

/** What a node computes, with the attributes of that operation alone. */
export type Operation =
  /** (time or label) -> sinusoids, sin(f t) and cos(f t); with a weight W of angles 2 pi W t, of the time or its logarithm. */
  | {
      readonly op: 'time_embedding';
      readonly length: number;
      /** Denominator half - shift of the frequencies. */
      readonly frequencyShift: number;
      readonly order: 'sin-cos' | 'cos-sin';
      readonly logarithmic: boolean;
    }
  /** (label or truncated time) -> row of the table in the weight; zero where it has none. */
  | { readonly op: 'embedding' }
  /** (map) -> product with the weight, a cross-correlation; `padBefore` above and to the left. */
  | {
      readonly op: 'convolution';
      readonly kernel: number;
      readonly stride: number;
      readonly padBefore: number;
      readonly padAfter: number;
    }
  | { readonly op: 'group_norm'; readonly groups: number; readonly epsilon: number }
  /** (q, k, v) -> map. */
  | { readonly op: 'attention'; readonly heads: number }
  /** `bias` adds its bias, `channel_add` (map, vector) a vector; `scale_shift` (map, vector of 2C) is map (1 + v) + w. */
  | { readonly op: 'bias' | 'channel_add' | 'scale_shift' | 'silu' | 'add' | 'concat' }
  /** Twice the size by repetition or the filter [1,3,3,1], half by means of 2 x 2 or that filter. */
  | { readonly op: 'upsample' | 'average_pool' | 'fir_upsample' }
  | { readonly op: 'fir_downsample'; readonly padding: number }
  /** A function of every element; SiLU is an operation of its own, which devices fuse. */
  | { readonly op: 'activation'; readonly kind: 'mish' | 'gelu' | 'relu' }
  /** A range of channels as a map of as many pixels. */
  | ({ readonly op: 'view'; readonly first: number } & Extents)
  /** A map B^T with the weights A [H', H] and B [W', W]: means, broadcasts, selections, filters. */
  | { readonly op: 'separable' }
  /** Adds its bias, [C, H W]. */
  | { readonly op: 'position' }
  /** scale * map + shift. */
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
  /** Its elements, where it is no weight of a checkpoint but known beforehand. */
  readonly values?: Float32Array;
}
