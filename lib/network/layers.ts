import type { GraphBuilder } from './graph.js';

/** A convolution of an odd kernel that keeps the map's size, unless it says otherwise. */
export interface ConvolutionShape {
  readonly kernel?: number;
  readonly stride?: number;
  /** Zeros above and to the left, and below and to the right. Default (kernel - 1) / 2. */
  readonly padBefore?: number;
  readonly padAfter?: number;
  /** Default true. */
  readonly bias?: boolean;
}

/** Adds the bias `<name>.bias` to every channel of a value. */
export function biased(graph: GraphBuilder, name: string, product: number): number {
  const biases = [graph.constant(`${name}.bias`, [graph.value(product).channels])];
  return graph.add({ op: 'bias' }, `${name}.bias`, [product], { biases });
}

/** Adds a convolution with the weight `<name>.weight` [to, from, kernel, kernel]; default 3x3. */
export function convolution(
  graph: GraphBuilder,
  name: string,
  input: number,
  to: number,
  shape: ConvolutionShape = {},
): number {
  const { kernel = 3, stride = 1, padBefore = (kernel - 1) / 2, padAfter = (kernel - 1) / 2, bias = true } = shape;
  const weights = [graph.constant(`${name}.weight`, [to, graph.value(input).channels, kernel, kernel])];
  const operation = { op: 'convolution', kernel, stride, padBefore, padAfter } as const;
  const product = graph.add(operation, name, [input], { weights });
  return bias ? biased(graph, name, product) : product;
}

/** Adds a linear layer on every pixel, its weight [to, from]. */
export function linear(graph: GraphBuilder, name: string, input: number, to: number, bias = true): number {
  const weights = [graph.constant(`${name}.weight`, [to, graph.value(input).channels])];
  const operation = { op: 'convolution', kernel: 1, stride: 1, padBefore: 0, padAfter: 0 } as const;
  const product = graph.add(operation, name, [input], { weights });
  return bias ? biased(graph, name, product) : product;
}

function scaleAndShift(graph: GraphBuilder, name: string, input: number): { weights: number[]; biases: number[] } {
  const { channels } = graph.value(input);
  return {
    weights: [graph.constant(`${name}.weight`, [channels])],
    biases: [graph.constant(`${name}.bias`, [channels])],
  };
}

/** Adds a group norm. */
export function groupNorm(graph: GraphBuilder, name: string, input: number, groups: number, epsilon: number): number {
  return graph.add({ op: 'group_norm', groups, epsilon }, name, [input], scaleAndShift(graph, name, input));
}

/** Adds a layer norm over the channels of each pixel. */
export function layerNorm(graph: GraphBuilder, name: string, input: number, epsilon: number): number {
  return graph.add({ op: 'layer_norm', epsilon }, name, [input], scaleAndShift(graph, name, input));
}

/** Adds x sigmoid(x). */
export function silu(graph: GraphBuilder, name: string, input: number): number {
  return graph.add({ op: 'silu' }, name, [input]);
}

/** Adds a sum of two maps. */
export function sum(graph: GraphBuilder, name: string, left: number, right: number): number {
  return graph.add({ op: 'add' }, name, [left, right]);
}

/** Adds a copy, which operations can read that do not read the network's own input. */
export function copied(graph: GraphBuilder, name: string, input: number): number {
  return graph.add({ op: 'affine', scale: 1, shift: 0 }, `${name}.copy`, [input]);
}

/** Adds the two linear layers that embed features of a number, with SiLU between them. */
export function embeddingMlp(graph: GraphBuilder, name: string, input: number, to: number): number {
  const inner = silu(graph, `${name}.act`, linear(graph, `${name}.linear_1`, input, to));
  return linear(graph, `${name}.linear_2`, inner, to);
}

/** Style of {@link selfAttention}: number of groups of the norm before it, 0 for none; width of queries, keys and values. */
export interface SelfAttentionStyle {
  readonly groups: number;
  readonly epsilon: number;
  readonly heads: number;
  readonly inner?: number | undefined;
}

/** Adds attention of a map to itself after a group norm, and the sum with the map. */
export function selfAttention(graph: GraphBuilder, name: string, x: number, style: SelfAttentionStyle): number {
  const { channels } = graph.value(x);
  const { groups, epsilon, heads, inner = channels } = style;
  const normed = groups > 0 ? groupNorm(graph, `${name}.group_norm`, x, groups, epsilon) : x;
  const parts = ['to_q', 'to_k', 'to_v'].map((part) => linear(graph, `${name}.${part}`, normed, inner));
  const attended = graph.add({ op: 'attention', heads }, name, parts);
  return sum(graph, `${name}.add`, linear(graph, `${name}.to_out.0`, attended, channels), x);
}
