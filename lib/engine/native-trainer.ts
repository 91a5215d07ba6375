import type { NativeCancelToken, NativeGradients, NativeNetworkInfo, NativeNetworkOptions } from './binding.js';

/**
 * Noise levels n = 1, 2, …, all as likely: a network that sees images x0 + noises eps at a time is to have the output
 * dataTargets x0 + noiseTargets eps. The tables have an entry for each level.
 */
export interface NativeTrainerLevels {
  images: Float64Array;
  noises: Float64Array;
  dataTargets: Float64Array;
  noiseTargets: Float64Array;
  /** Factors of the loss. */
  weights: Float64Array;
  /** Time that the network is given. */
  times: Float32Array;
  /** Step from each level to the one before it, for the loss `hybrid`. */
  stepsBack?: NativeStepsBack;
}

/** Tables of steps back, with an entry for each level. */
export interface NativeStepsBack {
  /** ln of the posterior variance; of the first level that of the second. */
  lows: Float64Array;
  /** ln beta. */
  highs: Float64Array;
  /** Posterior variance; 0: the step ends at the data. */
  variances: Float64Array;
  /** Difference of the means of the step for one of the predicted noise. */
  means: Float64Array;
}

/**
 * Options of a trainer: a network's, and how it learns. The network's `derivative` and `pullsToImage` have no effect;
 * without `recompute` it is `norms`.
 */
export interface NativeTrainerOptions extends NativeNetworkOptions {
  /** Images [count, C, H + cropMargin, W + cropMargin]: levels u of x = 2 u / 255 - 1, or numbers; null: every run is given its samples. */
  images: Uint8Array | Float32Array | null;
  /** Label per image, or null. */
  labels: Int32Array | null;
  /**
   * Ids of the tokens of texts, [texts, tokens of a text], for a network whose context is [vocabulary, tokens, 1]: it
   * sees element (id, token) 1 where the token has that id, and else 0. Null or absent: there are none.
   */
  tokens?: Int32Array | null;
  /**
   * Texts of the images, one number more than there are images: image i has those from number i to before number i + 1,
   * at least one, of which each sample of it sees one that is drawn. Null or absent: there are none.
   */
  firstTexts?: Uint32Array | null;
  /** True if half of the images are mirrored, left and right. */
  flips: boolean;
  /** Pixels by which the images are larger than what is learned, a window at a place that is drawn each time. */
  cropMargin: number;
  levels: NativeTrainerLevels;
  /** How levels are drawn: evenly, or by the root of the mean square of each level's last ten losses. */
  levelSampling: 'uniform' | 'loss-second-moment';
  /**
   * What learns: the output; a noise prediction with the variance behind it, as two outputs a pixel; a variance head beside an output that predicts the noise; or logits, the output, by the cross
   * entropy of the labels of noised images.
   */
  loss: 'prediction' | 'hybrid' | 'npr' | 'sn' | 'ocm' | 'cross-entropy';
  /** Number of samples of one evaluation. */
  batch: number;
  /** Number of evaluations of one step, whose gradients are added. */
  accumulate: number;
  /** Maximum L2 norm of the gradients; 0: no limit. */
  clip: number;
  /** Adam's factors of the moments before a step, and the addend of its root. */
  beta1: number;
  beta2: number;
  epsilon: number;
  /** AdamW's decay of all weights, a factor of the rate. */
  decay: number;
  /** Words of the seed of all draws, low and high. */
  seed: Uint32Array;
  /** Probability that the label of a sample is replaced by `nullLabel`. */
  labelDropout: number;
  /** Label of no class; -1: no label. */
  nullLabel: number;
  /** Probability that the text of a sample is replaced by `nullTokens`; absent: 0. */
  textDropout?: number;
  /** Ids of the tokens of the text that stands for none; null or absent: there is none. */
  nullTokens?: Int32Array | null;
}

/** Samples of the steps of a run, slot after slot, in place of the images and of all draws. */
export interface NativeTrainerSamples {
  /** Images x0, [steps * accumulate * batch, C, H, W]. */
  images: Float32Array;
  /** Noise of the images' shape. */
  noise: Float32Array;
  /** Noise levels, from 1 on. */
  levels: Uint32Array;
  /** Labels if the network takes some, or null. */
  labels: Int32Array | null;
  /** Ids of the tokens of the samples' texts, [steps * accumulate * batch, tokens], if the network sees texts; null or absent: none. */
  tokens?: Int32Array | null;
  /** Signs, -1 or 1, of the images' shape, for the loss `ocm`; absent: they are drawn. */
  probes?: Float32Array;
}

/** Steps of a trainer. */
export interface NativeTrainingSteps {
  /** Number of the first step, from 0 on. */
  firstStep: number;
  /** Learning rate per step; there are as many steps as rates. */
  rates: Float64Array;
  /** Share of itself that the average keeps, per step. */
  averageDecays: Float64Array;
  /** Samples of all steps; null: they are drawn from the images. */
  samples: NativeTrainerSamples | null;
  cancel: NativeCancelToken | null;
  /** Function that receives the numbers of steps that are done and of all. */
  onProgress: ((done: number, total: number) => void) | null;
  /** Least number of milliseconds between two calls of `onProgress`. */
  progressMilliseconds: number;
}

/** Measurements of the steps that were done. */
export interface NativeTrainerResult {
  /** Mean over the samples of the weighted mean square error, or of the cross entropy, per step. */
  losses: Float64Array;
  /** L2 norms of the gradients before they were clipped, per step. */
  norms: Float64Array;
  /** Share of the samples whose largest logit is that of their label, per step; empty where no logits learn. */
  accuracies: Float64Array;
  seconds: number;
  /** Why the step behind these was not taken, which ended the run; empty: nothing. */
  failure: string;
}

/** Tensor of a trainer, in which each constant has its {@link NativeGradientPlace}. */
export type NativeParameterTensor = 'parameters' | 'firstMoments' | 'secondMoments' | 'average';

/** Network that learns. Its weights are its own. */
export interface NativeTrainer {
  readonly info: NativeNetworkInfo;
  /**
   * Runs steps. Cancelled between two steps, it resolves with those that were done. So it does at a step whose loss or
   * gradients are not finite; everything is then as it was before that step.
   */
  run(request: NativeTrainingSteps): Promise<NativeTrainerResult>;
  read(which: NativeParameterTensor): Promise<Float32Array>;
  write(which: NativeParameterTensor, values: Float32Array): Promise<void>;
  /** Reads the last losses of each level, [levels, 10], the oldest first, -1 where there are none; empty for even draws. */
  levelLosses(): Promise<Float32Array>;
  /** Replaces these losses, by which levels are drawn from the next step on. */
  setLevelLosses(losses: Float32Array): Promise<void>;
  /** Tells where the constants lie in the tensors, in the order of their names. */
  places(): NativeGradients;
  close(): Promise<void>;
}
