import type { GraphNode, GraphValue } from '../network/operation.js';

/** A weight inside a file that native code reads. */
export interface NativeWeight {
  /** Canonical name, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
  name: string;
  /** Index into {@link NativeGraph.files}. */
  file: number;
  dtype: 'F32' | 'F16' | 'BF16';
  shape: number[];
  /** Absolute byte offset in the file. */
  offset: number;
  /** Bytes from `offset` on that belong to it; with a view those it is picked from. */
  bytes: number;
  /** How its elements lie where not row-major: in the row-major order of `dims`, strides in elements. */
  view?: { dims: number[]; strides: number[] } | undefined;
}

/** A constant that lies in no file. */
export interface NativeGivenConstant {
  name: string;
  shape: readonly number[];
  /** Row-major. */
  values: Float32Array;
}

/** A graph whose constants lie in files or are given, in the order of their indices. */
export interface NativeGraph {
  values: readonly GraphValue[];
  nodes: readonly GraphNode[];
  constants: readonly (NativeWeight | NativeGivenConstant)[];
  files: readonly string[];
}
