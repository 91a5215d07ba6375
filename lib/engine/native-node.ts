import type { Operation } from '../network/operation.js';

/** A map of one sample and where in its storage it lies. */
export interface NativeMap {
  /** Index of the value in the graph. */
  value: number;
  channels: number;
  height: number;
  width: number;
  /** Index of the value that it is a part of, its own where it is none. */
  storage: number;
  /** The first of its channels, and all channels of a pixel, in the storage it shares with other values. */
  firstChannel: number;
  pixelStride: number;
  /** What the storage is: inside the network, or one of its inputs and outputs. */
  role: 'internal' | 'image' | 'time' | 'label' | 'output' | 'head';
}

/**
 * One operation of a graph after fusion; fields as in native/backend/operations.h. Where an operation has no such attribute, those below say
 * what changes nothing; beside them are those of its own.
 */
export interface NativeNode {
  name: string;
  op: Operation['op'];
  /** A convolution's are its map, its channel vector and its residual. */
  inputs: readonly [NativeMap | null, NativeMap | null, NativeMap | null];
  output: NativeMap;
  /** Weights stacked along the output channels. */
  parts: number;
  /** The names of the constants it reads. */
  weights: readonly string[];
  biases: readonly string[];
  weightElements: number;
  /** For one sample. */
  multiplyAdds: number;
  kernel: number;
  stride: number;
  padBefore: number;
  padAfter: number;
  heads: number;
  groups: number;
  scale: number;
  bias: boolean;
  upsample: boolean;
  silu: boolean;
}
