import type { Operation } from '../network/operation.js';

/** Map of one sample, and its place in its storage. */
export interface NativeMap {
  /** Index of the value in the graph. */
  value: number;
  channels: number;
  height: number;
  width: number;
  /** Index of the value that it is a part of, or its own index. */
  storage: number;
  /** First of its channels, and number of channels of a pixel, in the storage it shares with other values. */
  firstChannel: number;
  pixelStride: number;
  /** Role of the storage: inside the network, or one of its inputs and outputs. */
  role: 'internal' | 'image' | 'time' | 'label' | 'output' | 'head';
}

/**
 * Operation of a graph after fusion; fields as in native/backend/operations.h. An attribute that an operation does not
 * have holds a value that changes nothing; attributes of one operation alone follow.
 */
export interface NativeNode {
  name: string;
  op: Operation['op'];
  /** Inputs; those of a convolution are its map, its channel vector and its residual. */
  inputs: readonly [NativeMap | null, NativeMap | null, NativeMap | null];
  output: NativeMap;
  /** Number of weights stacked along the output channels. */
  parts: number;
  /** Names of the constants it reads. */
  weights: readonly string[];
  biases: readonly string[];
  weightElements: number;
  /** Number of multiply-adds for one sample. */
  multiplyAdds: number;
  kernel: number;
  stride: number;
  padBefore: number;
  padAfter: number;
  heads: number;
  causal: boolean;
  groups: number;
  scale: number;
  bias: boolean;
  upsample: boolean;
  silu: boolean;
}
