/** One level of a conditional U-Net, at the image's size halved so many times. */
export interface ConditionalLevel {
  readonly channels: number;
  /** Number of residual blocks on the way down; there is one more on the way up. */
  readonly layers: number;
  readonly heads: number;
  /** Number of transformer blocks behind each residual block on the way down, and up; 0: none. */
  readonly depthDown: number;
  readonly depthUp: number;
  readonly onlyCross: boolean;
}

/** U-Net that sees a text (`UNet2DConditionModel`). */
export interface ConditionalDescription {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly levels: readonly ConditionalLevel[];
  /** Middle block: its transformer's depth, 0 without one; null: there is none. */
  readonly middle: { readonly depth: number } | null;
  /** Width of the context's tokens. */
  readonly contextWidth: number;
  readonly linearProjection: boolean;
  readonly groups: number;
  readonly epsilon: number;
  readonly timeMode: 'add' | 'scale-shift';
  readonly time: {
    readonly embedding: number;
    readonly shift: number;
    readonly order: 'sin-cos' | 'cos-sin';
  };
  /** Number of features of the guidance weight that the network sees; null: it does not. */
  readonly guidanceFeatures: number | null;
  /** Number of classes; 0: none. */
  readonly classes: number;
  /** Vector that is embedded and added to the time's embedding, by the names of its layers. */
  readonly added: { readonly name: 'add_embedding' | 'class_embedding'; readonly length: number } | null;
  readonly kernelIn: number;
  readonly kernelOut: number;
  readonly centerInput: boolean;
  /** ControlNets whose maps can be added to those of the U-Net. Absent: none. */
  readonly controls?: readonly ControlDescription[];
}

/** How a picture that controls becomes a map of the states' size: convolutions, each width but the first halving it. */
export interface HintDescription {
  readonly channels: number;
  readonly widths: readonly number[];
  readonly order: 'rgb' | 'bgr';
}

/**
 * Half of a U-Net that sees a picture beside the states, and whose maps are added to those of a U-Net: a `ControlNetModel` (Zhang
 * et al. 2023).
 */
export interface ControlDescription {
  /** Its blocks on the way down and in the middle; there are none on the way up, and no output. */
  readonly encoder: ConditionalDescription;
  readonly hint: HintDescription;
}
