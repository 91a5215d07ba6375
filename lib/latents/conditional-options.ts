import {
  arrayOf,
  either,
  instanceOf,
  integerBetween,
  kinds,
  numberOrNumbers,
  objectOf,
  oneOf,
  type OptionKinds,
} from '../base/option-kinds.js';
import { headNames, type HeadName } from '../checkpoint/heads.js';
import { PreparedContext } from './prepared-context.js';
import { PreparedControl } from './prepared-control.js';

/** Options of {@link ConditionalUNet.forward}. */
export interface ConditionalForwardOptions {
  /** Height of the states. */
  height: number;
  /** Width of the states. */
  width: number;
  /**
   * States of the texts' tokens, [contexts, tokens, context width], or what {@link ConditionalUNet.prepare} has made of them.
   */
  context: Float32Array | PreparedContext;
  /**
   * Number of each sample's context among those of `context`, from 0 on, where samples share them. Default: sample n has
   * context n, and there are N.
   */
  contextIndices?: ArrayLike<number> | undefined;
  /** Pooled states of the text, [N, width], for a network that sees them (SDXL). */
  pooled?: Float32Array | undefined;
  /** Numbers beside the pooled states, [N, count], such as sizes: (height, width, top, left, height, width). */
  sizes?: ArrayLike<number> | undefined;
  /** Vectors of the classes, [N, length], for a network that projects them. */
  classVectors?: Float32Array | undefined;
  /** Class labels, one per sample, for a network with classes. */
  classLabels?: ArrayLike<number> | undefined;
  /** Guidance weight that the network sees (LCM), one for all samples or one each. */
  guidance?: number | ArrayLike<number> | undefined;
  /** Features of the guidance weight, [N, features], in place of `guidance`. */
  guidanceFeatures?: Float32Array | undefined;
  /** ControlNets that are evaluated, too, each at most once. Default: none. */
  controls?: readonly ControlUse[] | undefined;
  /**
   * Number of each sample's picture among those of every control that has several, from 0 on. Default: sample n has picture n.
   */
  controlIndices?: ArrayLike<number> | undefined;
}

/** A ControlNet of an evaluation. */
export interface ControlUse {
  /** What it sees of the pictures that control, by {@link ConditionalUNet.prepareControl}. */
  picture: PreparedControl;
  /** Factor of its maps. Default 1. */
  scale?: number | undefined;
}

/** @internal */
export const forwardKinds: OptionKinds<ConditionalForwardOptions> = {
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
  context: either(kinds.floats, instanceOf('a PreparedContext', PreparedContext)),
  contextIndices: kinds.numbers,
  pooled: kinds.floats,
  sizes: kinds.numbers,
  classVectors: kinds.floats,
  classLabels: kinds.numbers,
  guidance: numberOrNumbers,
  guidanceFeatures: kinds.floats,
  controls: arrayOf('a list of { picture, scale }', objectOf('{ picture, scale }')),
  controlIndices: kinds.numbers,
};

/** @internal */
export const controlUseKinds: OptionKinds<ControlUse> = {
  picture: instanceOf('a PreparedControl', PreparedControl),
  scale: kinds.float32,
};

/** Size of evaluations, for {@link ConditionalUNet.bytesFor}. */
export interface ConditionalSize {
  /** Height of the states. */
  height: number;
  /** Width of the states. */
  width: number;
  /** Number of the text's tokens. Default 77. */
  tokens?: number | undefined;
  /** Number of states at once, two for each guided sample. Default 1. */
  batch?: number | undefined;
  /** Number of contexts that these share. Default: each has its own. */
  contexts?: number | undefined;
  /** Variance head that is evaluated, too. Default: none. */
  head?: HeadName | undefined;
  /** Factor of each ControlNet's maps; 0: it is not evaluated. Default: none is. */
  controlScales?: readonly number[] | undefined;
}

/** @internal */
export const tokenCounts = integerBetween(1, 2 ** 20);

/** @internal */
export const sizeKinds: OptionKinds<ConditionalSize> = {
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
  tokens: tokenCounts,
  batch: kinds.positiveInteger,
  contexts: kinds.positiveInteger,
  head: oneOf(headNames),
  controlScales: arrayOf('a list of numbers', kinds.float32),
};
