import { at } from '../base/arrays.js';
import { anyContext, ConditionalCompiler, smallestStates, type Attention } from './conditional-compiler.js';
import type { ConditionalDescription } from './conditional-description.js';
import { controlPrefix, smallestControl } from './control.js';
import type { HeadDescription } from './description.js';
import { GraphBuilder, type Graph } from './graph.js';
import { copied, linear } from './layers.js';
import type { Extents } from './operation.js';
import { encodedTokens, type TextEncoderDescription } from './text-encoder.js';
import type { ContextOf } from './transformer.js';

/** Lists the attentions to the context: those of the U-Net, then those of its ControlNets. */
function attentionsOf(description: ConditionalDescription): readonly Attention[] {
  const graph = new GraphBuilder();
  const compiler = new ConditionalCompiler(description, graph, anyContext(graph));
  compiler.compile(smallestStates(graph, description));
  const ofControls = (description.controls ?? []).map(({ encoder }, k) =>
    smallestControl(encoder, `${controlPrefix(k)}.`),
  );
  return [...compiler.attentions, ...ofControls.flatMap(({ attentions }) => attentions)];
}

/** Counts the channels of the keys and values of all attentions. */
export function contextChannels(description: ConditionalDescription): number {
  return attentionsOf(description).reduce((sum, { channels }) => sum + 2 * channels, 0);
}

/**
 * Builds the graph of the keys and values of a context, which are the same in all evaluations.
 *
 * Input `image`: the context, [width, tokens, 1]. Output `output`: keys and values of every attention, one after the other.
 */
export function promptGraph(description: ConditionalDescription, tokens: number): Graph {
  const graph = new GraphBuilder();
  const { contextWidth } = description;
  const context = copied(graph, 'context', graph.input('image', { channels: contextWidth, height: tokens, width: 1 }));
  const weights = attentionsOf(description).flatMap(({ name, channels }) =>
    ['to_k', 'to_v'].map((part) => graph.constant(`${name}.${part}.weight`, [channels, contextWidth])),
  );
  const operation = { op: 'convolution', kernel: 1, stride: 1, padBefore: 0, padAfter: 0 } as const;
  graph.output('output', graph.add(operation, 'context.to_kv', [context], { weights }));
  return graph.build();
}

/** Gives each attention its part of the keys and values of a prepared context, an input of the network. */
function preparedContext(graph: GraphBuilder, description: ConditionalDescription, tokens: number): ContextOf {
  const places = new Map<string, number>();
  let channels = 0;
  for (const attention of attentionsOf(description)) {
    places.set(attention.name, channels);
    channels += 2 * attention.channels;
  }
  if (channels === 0) return () => ({ keys: 0, values: 0 });
  const given = graph.input('context', { channels, height: tokens, width: 1 }, 'group');
  const context = copied(graph, 'context', given);
  const part = (name: string, first: number, count: number): number =>
    graph.add({ op: 'view', first, channels: count, height: tokens, width: 1 }, name, [context]);
  return (name, count) => {
    const first = places.get(name) ?? 0;
    return { keys: part(`${name}.to_k`, first, count), values: part(`${name}.to_v`, first + count, count) };
  };
}

/** What of a conditional U-Net is evaluated. */
export interface ConditionalParts {
  /** A head, whose output is the second one. Default null: none. */
  readonly head?: HeadDescription | null;
  /** Factor of each ControlNet's maps; 0: it is not evaluated. Default: none is. */
  readonly controlScales?: readonly number[];
}

/**
 * Builds the graph of a conditional U-Net for images of a size and contexts of a number of tokens.
 *
 * Inputs: `image` [C, H, W], behind whose states lie the features of the pictures of all ControlNets that are evaluated; `time`,
 * `context` (what the graph of the prompt gives) and, where the network has them, `label`, `added` and `guidance`. Output `output`
 * [C', H, W] and, with a head, `head`.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function conditionalGraph(
  description: ConditionalDescription,
  { height, width, tokens }: Pick<Extents, 'height' | 'width'> & { tokens: number },
  { head = null, controlScales = [] }: ConditionalParts = {},
): Graph {
  const graph = new GraphBuilder();
  const { inChannels, controls = [] } = description;
  const active = controls.flatMap((control, k) => {
    const scale = controlScales[k] ?? 0;
    return scale === 0 ? [] : [{ ...control, scale, prefix: `${controlPrefix(k)}.` }];
  });
  const hintChannels = active.map(({ encoder }) => at(encoder.levels, 0).channels);
  const channels = hintChannels.reduce((sum, count) => sum + count, inChannels);
  const image = graph.input('image', { channels, height, width });
  const contextOf = preparedContext(graph, description, tokens);
  const compiler = new ConditionalCompiler(description, graph, contextOf);
  if (active.length === 0) {
    compiler.compile(image, head);
    return graph.build();
  }
  const all = copied(graph, 'image', image);
  const part = (name: string, first: number, count: number): number =>
    graph.add({ op: 'view', first, channels: count, height, width }, name, [all]);
  let first = inChannels;
  const residuals = active.map(({ encoder, scale, prefix }, i) => {
    const hint = part(`${prefix}hint`, first, at(hintChannels, i));
    first += at(hintChannels, i);
    // A U-Net that fills parts of pictures sees more than the states, ControlNets do not.
    const states = part(`${prefix}states`, 0, encoder.inChannels);
    return new ConditionalCompiler(encoder, graph, contextOf, prefix).residuals(states, hint, scale);
  });
  compiler.compile(part('states', 0, inChannels), head, residuals);
  return graph.build();
}

/** Adds a U-Net whose keys and values are made of the states of a text, [context width, tokens, 1], and names its outputs. */
function conditioned(
  graph: GraphBuilder,
  description: ConditionalDescription,
  image: number,
  states: number,
  head: HeadDescription | null = null,
): void {
  const contextOf: ContextOf = (name, count) => ({
    keys: linear(graph, `${name}.to_k`, states, count, false),
    values: linear(graph, `${name}.to_v`, states, count, false),
  });
  new ConditionalCompiler(description, graph, contextOf).compile(image, head);
}

/**
 * Builds the graph of a text encoder and of a conditional U-Net that sees its states, as both learn together.
 *
 * Inputs: `image` [C, H, W], `time`, and `context`, the text, [vocabulary, tokens, 1], whose element (id, token) is 1 where the
 * token has that id, and else 0. Output `output` [C', H, W] and, with a head, `head`.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function captionedGraph(
  description: ConditionalDescription,
  text: TextEncoderDescription,
  { height, width }: Pick<Extents, 'height' | 'width'>,
  head: HeadDescription | null = null,
): Graph {
  const graph = new GraphBuilder();
  const image = graph.input('image', { channels: description.inChannels, height, width });
  const tokens = graph.input('context', { channels: text.vocabulary, height: text.tokens, width: 1 });
  conditioned(graph, description, image, encodedTokens(graph, text, copied(graph, 'tokens', tokens)), head);
  return graph.build();
}

/**
 * Builds the same graph as {@link conditionalGraph} with the keys and values in it, for derivatives by the context and by all weights: its input
 * `context` is the states of the text's tokens, [context width, tokens, 1].
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function trainedConditionalGraph(
  description: ConditionalDescription,
  { height, width, tokens }: Pick<Extents, 'height' | 'width'> & { tokens: number },
): Graph {
  const graph = new GraphBuilder();
  const image = graph.input('image', { channels: description.inChannels, height, width });
  const given = graph.input('context', { channels: description.contextWidth, height: tokens, width: 1 });
  conditioned(graph, description, image, copied(graph, 'context', given));
  return graph.build();
}
