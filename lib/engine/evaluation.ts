import type { OptionFact } from '../base/option-facts.js';
import { arrayOf, either, instanceOf, kinds, nameOf, type OptionKinds } from '../base/option-kinds.js';
import type { RecomputePolicy } from './binding.js';
import { DeviceTensor } from './device.js';

/** Batch of states or predictions: values in main memory or a tensor on the network's device. */
export type TensorLike = Float32Array | DeviceTensor;

/** Options of `UNet.forward`. */
export interface ForwardOptions<T extends TensorLike> {
  /** Class labels, one per sample, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Buffer for the prediction; nothing is allocated then. */
  out?: T | undefined;
  /** Buffer for the second output. */
  head?: T | undefined;
}

/** Kind of {@link TensorLike}. @internal */
export const tensorLike = either(kinds.floats, instanceOf('a DeviceTensor', DeviceTensor));

/** @internal */
export const forwardOptionKinds: OptionKinds<ForwardOptions<TensorLike>> = {
  classLabels: kinds.numbers,
  out: tensorLike,
  head: tensorLike,
};

/** Options of `UNet.pullback`; tensors are of the same kind as `x`. */
export interface PullbackOptions<T extends TensorLike> extends ForwardOptions<T> {
  /** Cotangent of the prediction, [batch, output channels, H, W]. Default: zeros if there is a `headCotangent`. */
  cotangent?: T | undefined;
  /** Cotangent of the second output. Default: zeros. */
  headCotangent?: T | undefined;
  /** Buffer for the result; nothing is allocated then. */
  gradient?: T | undefined;
  /**
   * Choice of memory or speed: `blocks` computes the inside of blocks again instead of keeping it, with two thirds of
   * the memory and a fifth more arithmetic. Default `none`.
   */
  recompute?: RecomputePolicy | undefined;
}

/** Options of `UNet.gradients`; tensors are of the same kind as `x`. */
export interface GradientsOptions<T extends TensorLike> extends ForwardOptions<T> {
  /** Cotangent of the prediction, [batch, output channels, H, W]. Default: zeros if there is a `headCotangent`. */
  cotangent?: T | undefined;
  /** Cotangent of the second output. Default: zeros. */
  headCotangent?: T | undefined;
  /** Names of the tensors, as in the checkpoint, whose gradients are wanted. Default: all that have one. */
  tensors?: readonly string[] | undefined;
  /** True if the cotangents are pulled back to the states, too. Default false. */
  image?: boolean | undefined;
  /** Choice of memory or speed, as of {@link PullbackOptions}. Default `none`. */
  recompute?: RecomputePolicy | undefined;
}

/** Options of `UNet.pushforward`; tensors are of the same kind as `x`. */
export interface PushforwardOptions<T extends TensorLike> extends ForwardOptions<T> {
  /** Tangent of the states, [batch, C, H, W]. */
  tangent: T;
  /** Buffer for the result; nothing is allocated then. */
  outTangent?: T | undefined;
}

/** Every {@link RecomputePolicy}. */
export const recomputePolicies: readonly RecomputePolicy[] = ['none', 'norms', 'blocks'];

/** Facts about the option `recompute` of {@link PullbackOptions}. @internal */
export const recomputeFact = {
  kind: nameOf(recomputePolicies),
  help: `what of the network is computed again instead of kept: ${recomputePolicies.join(', ')}`,
  standard: 'none',
  value: 'POLICY',
} as const satisfies OptionFact;

/** @internal */
export const pullbackKinds: OptionKinds<PullbackOptions<TensorLike>> = {
  ...forwardOptionKinds,
  cotangent: tensorLike,
  headCotangent: tensorLike,
  gradient: tensorLike,
  recompute: recomputeFact.kind,
};

/** @internal */
export const gradientsKinds: OptionKinds<GradientsOptions<TensorLike>> = {
  ...forwardOptionKinds,
  cotangent: tensorLike,
  headCotangent: tensorLike,
  tensors: arrayOf('an array of names', kinds.string),
  image: kinds.boolean,
  recompute: recomputeFact.kind,
};

/** @internal */
export const pushforwardKinds: OptionKinds<PushforwardOptions<TensorLike>> = {
  ...forwardOptionKinds,
  tangent: tensorLike,
  outTangent: tensorLike,
};

/** Outputs of one evaluation: all output channels, and the second output if the network has one. */
export interface ForwardResult<T extends TensorLike> {
  /** The prediction, [batch, output channels, H, W]. */
  out: T;
  /** The second output, [batch, head channels, H, W]; null if the network has none. */
  head: T | null;
}

/** Outputs of one evaluation, and their cotangents pulled back to the states. */
export interface PullbackResult<T extends TensorLike> extends ForwardResult<T> {
  /** Product of J^T and the cotangents, [batch, C, H, W]. */
  gradient: T;
}

/** Outputs of one evaluation, and their cotangents pulled back to the weights. */
export interface GradientsResult<T extends TensorLike> extends ForwardResult<T> {
  /** Product of J^T and the cotangents, [batch, C, H, W]; null unless `image` was set. */
  gradient: T | null;
  /** Gradients by the names of tensors in the checkpoint, each of its tensor's shape, summed over the samples. */
  tensors: Map<string, Float32Array>;
}

/** Outputs of one evaluation, and their change along a tangent of the states. */
export interface PushforwardResult<T extends TensorLike> extends ForwardResult<T> {
  /** Product of J and the tangent, [batch, output channels, H, W]. */
  tangent: T;
  /** Tangent of the second output; null if the network has none. */
  headTangent: T | null;
}
