import type { GraphBuilder } from './graph.js';
import { convolution, groupNorm, layerNorm, linear, sum } from './layers.js';

/** Transformer over the pixels of a map, each of which also attends to the tokens of a context. */
export interface TransformerBlock {
  readonly name: string;
  /** Number of transformer blocks. */
  readonly depth: number;
  readonly heads: number;
  readonly groups: number;
  /** True if the map is projected by linear layers, which are convolutions of 1x1 otherwise. */
  readonly linearProjection: boolean;
  /** True if the first attention of a block is to the context, too. */
  readonly onlyCross: boolean;
}

/** Keys and values of a context for one attention. */
export interface KeysAndValues {
  readonly keys: number;
  readonly values: number;
}

/** Gives the keys and values of an attention, by its name and width. */
export type ContextOf = (name: string, channels: number) => KeysAndValues;

const projectionEpsilon = 1e-6;
const epsilon = 1e-5;

function attended(
  graph: GraphBuilder,
  name: string,
  x: number,
  heads: number,
  { keys, values }: KeysAndValues,
): number {
  const { channels } = graph.value(x);
  const queries = linear(graph, `${name}.to_q`, x, channels, false);
  const result = graph.add({ op: 'attention', heads }, name, [queries, keys, values]);
  return linear(graph, `${name}.to_out.0`, result, channels);
}

function block(graph: GraphBuilder, name: string, x: number, style: TransformerBlock, contextOf: ContextOf): number {
  const { channels } = graph.value(x);
  const { heads, onlyCross } = style;
  const first = layerNorm(graph, `${name}.norm1`, x, epsilon);
  const own = (part: string): number => linear(graph, `${name}.attn1.${part}`, first, channels, false);
  const ofFirst = onlyCross ? contextOf(`${name}.attn1`, channels) : { keys: own('to_k'), values: own('to_v') };
  let h = sum(graph, `${name}.attn1.add`, attended(graph, `${name}.attn1`, first, heads, ofFirst), x);
  const second = layerNorm(graph, `${name}.norm2`, h, epsilon);
  const ofSecond = contextOf(`${name}.attn2`, channels);
  h = sum(graph, `${name}.attn2.add`, attended(graph, `${name}.attn2`, second, heads, ofSecond), h);
  const third = layerNorm(graph, `${name}.norm3`, h, epsilon);
  const gated = graph.add({ op: 'geglu' }, `${name}.ff.geglu`, [
    linear(graph, `${name}.ff.net.0.proj`, third, 8 * channels),
  ]);
  return sum(graph, `${name}.ff.add`, linear(graph, `${name}.ff.net.2`, gated, channels), h);
}

/** Adds a transformer: a group norm, a projection, its blocks, a projection and the sum with the map. */
export function transformer(graph: GraphBuilder, style: TransformerBlock, x: number, contextOf: ContextOf): number {
  const { name, depth, groups, linearProjection } = style;
  const { channels } = graph.value(x);
  const project = (part: string, input: number): number =>
    linearProjection
      ? linear(graph, `${name}.${part}`, input, channels)
      : convolution(graph, `${name}.${part}`, input, channels, { kernel: 1 });
  let h = project('proj_in', groupNorm(graph, `${name}.norm`, x, groups, projectionEpsilon));
  for (let i = 0; i < depth; ++i) h = block(graph, `${name}.transformer_blocks.${i}`, h, style, contextOf);
  return sum(graph, `${name}.add`, project('proj_out', h), x);
}
