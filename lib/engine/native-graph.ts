import type { GraphNode, GraphValue } from '../network/operation.js';

/** Tensor of a checkpoint that a weight is, or is a part of. */
export interface TensorPlace {
  /** Name of the tensor in the checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements that belong to the weight, in its row-major order: the first one, dimensions and strides. */
  readonly view?: { offset: number; dims: readonly number[]; strides: readonly number[] } | undefined;
}

/** Part of an addition inside a file: a matrix, or the kernel of a convolution. */
export interface NativeFactor {
  name: string;
  /** Index into {@link NativeGraph.files}. */
  file: number;
  dtype: 'F32' | 'F16' | 'BF16';
  shape: readonly number[];
  /** Offset in the file, in bytes from its start. */
  offset: number;
  bytes: number;
}

/** Addition of low rank to a weight: `factor` times the product of `up`, `mid`, if there is one, and `down`. */
export interface NativeAddition {
  factor: number;
  /** [outputs, rank], or the kernel of a convolution of 1x1. */
  up: NativeFactor;
  /** Kernel [rank, inner rank, height, width]. */
  mid?: NativeFactor;
  /** [inner rank, inputs], or, without `mid`, the kernel of a convolution. */
  down: NativeFactor;
}

/** Weight inside a file that native code reads. */
export interface NativeWeight {
  /** Canonical name, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
  name: string;
  /** Index into {@link NativeGraph.files}. */
  file: number;
  dtype: 'F32' | 'F16' | 'BF16';
  shape: number[];
  /** Offset in the file, in bytes from its start. */
  offset: number;
  /** Number of bytes from `offset` on that belong to it; with a view, those that its elements are picked from. */
  bytes: number;
  /** Layout of elements that are not row-major: in the row-major order of `dims`, strides in elements. */
  view?: { dims: number[]; strides: number[] } | undefined;
  /** Tensor of the checkpoint that it belongs to, if it has not the same name and shape. */
  source?: TensorPlace | undefined;
  /** What is added to its elements when they are read. */
  additions?: readonly NativeAddition[] | undefined;
}

/** Constant that lies in no file. */
export interface NativeGivenConstant {
  name: string;
  shape: readonly number[];
  /** Values, row-major. */
  values: Float32Array;
  /** Tensor of a checkpoint that it belongs to; absent: of none. */
  source?: TensorPlace | undefined;
}

/** Graph whose constants lie in files or are given, in the order of their indices. */
export interface NativeGraph {
  values: readonly GraphValue[];
  nodes: readonly GraphNode[];
  constants: readonly (NativeWeight | NativeGivenConstant)[];
  files: readonly string[];
}
