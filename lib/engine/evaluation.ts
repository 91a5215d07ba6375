import { either, instanceOf, kinds, type OptionKinds } from '../base/option-kinds.js';
import type { RecomputePolicy } from './binding.js';
import { DeviceTensor } from './device.js';

/** A batch of states or predictions: values in main memory or a tensor on the network's device. */
export type TensorLike = Float32Array | DeviceTensor;

/** Options of `UNet.forward`. */
export interface ForwardOptions<T extends TensorLike> {
  /** One label per sample, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Receives the prediction; nothing is allocated then. */
  out?: T | undefined;
  /** Receives the second output. */
  head?: T | undefined;
}

/** What {@link TensorLike} may be. @internal */
export const tensorLike = either(kinds.floats, instanceOf('a DeviceTensor', DeviceTensor));

/** @internal */
export const forwardOptionKinds: OptionKinds<ForwardOptions<TensorLike>> = {
  classLabels: kinds.numbers,
  out: tensorLike,
  head: tensorLike,
};

/** Options of `UNet.pullback`; tensors are of the same kind as `x`. */
export interface PullbackOptions<T extends TensorLike> extends ForwardOptions<T> {
  /** Cotangent of the prediction, [batch, output channels, H, W]; zeros where there is one of the second output. */
  cotangent?: T | undefined;
  /** Cotangent of the second output, by default zeros. */
  headCotangent?: T | undefined;
  /** Receives the result; nothing is allocated then. */
  gradient?: T | undefined;
  /**
   * `blocks` computes the inside of the network's blocks again instead of keeping it: two thirds of the memory, a fifth more arithmetic. Default
   * `none`.
   */
  recompute?: RecomputePolicy | undefined;
}

/** Options of `UNet.pushforward`; tensors are of the same kind as `x`. */
export interface PushforwardOptions<T extends TensorLike> extends ForwardOptions<T> {
  /** Tangent of the states, [batch, C, H, W]. */
  tangent: T;
  /** Receives the result; nothing is allocated then. */
  outTangent?: T | undefined;
}

/** @internal */
export const pullbackKinds: OptionKinds<PullbackOptions<TensorLike>> = {
  ...forwardOptionKinds,
  cotangent: tensorLike,
  headCotangent: tensorLike,
  gradient: tensorLike,
  recompute: kinds.string,
};

/** Every {@link RecomputePolicy}. */
export const recomputePolicies: readonly RecomputePolicy[] = ['none', 'blocks'];

/** @internal */
export const pushforwardKinds: OptionKinds<PushforwardOptions<TensorLike>> = {
  ...forwardOptionKinds,
  tangent: tensorLike,
  outTangent: tensorLike,
};

/** Outputs of one evaluation: all output channels, and the second output where the network has one. */
export interface ForwardResult<T extends TensorLike> {
  /** The prediction, [batch, output channels, H, W]. */
  out: T;
  /** The second output, [batch, head channels, H, W]; null where the network has none. */
  head: T | null;
}

/** Outputs of one evaluation, and what cotangents of theirs are at the states. */
export interface PullbackResult<T extends TensorLike> extends ForwardResult<T> {
  /** J^T times the cotangents, [batch, C, H, W]. */
  gradient: T;
}

/** Outputs of one evaluation, and how they change along a tangent of the states. */
export interface PushforwardResult<T extends TensorLike> extends ForwardResult<T> {
  /** J times the tangent, [batch, output channels, H, W]. */
  tangent: T;
  /** That of the second output; null where the network has none. */
  headTangent: T | null;
}
