import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { HeadDescription } from './description.js';
import { GraphBuilder, type Graph } from './graph.js';
import { convolution, copied, embeddingMlp, groupNorm, linear, silu, sum } from './layers.js';
import type { Extents } from './operation.js';
import { encodedTokens, type TextEncoderDescription } from './text-encoder.js';
import { transformer, type ContextOf, type KeysAndValues, type TransformerBlock } from './transformer.js';

/** One level of a conditional U-Net, at the image's size halved so many times. */
export interface ConditionalLevel {
  readonly channels: number;
  /** Number of residual blocks on the way down; there is one more on the way up. */
  readonly layers: number;
  readonly heads: number;
  /** Number of transformer blocks behind each residual block on the way down, and up; 0: none. */
  readonly depthDown: number;
  readonly depthUp: number;
  readonly onlyCross: boolean;
}

/** U-Net that sees a text (`UNet2DConditionModel`). */
export interface ConditionalDescription {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly levels: readonly ConditionalLevel[];
  /** Middle block: its transformer's depth, 0 without one; null: there is none. */
  readonly middle: { readonly depth: number } | null;
  /** Width of the context's tokens. */
  readonly contextWidth: number;
  readonly linearProjection: boolean;
  readonly groups: number;
  readonly epsilon: number;
  readonly timeMode: 'add' | 'scale-shift';
  readonly time: {
    readonly embedding: number;
    readonly shift: number;
    readonly order: 'sin-cos' | 'cos-sin';
  };
  /** Number of features of the guidance weight that the network sees; null: it does not. */
  readonly guidanceFeatures: number | null;
  /** Number of classes; 0: none. */
  readonly classes: number;
  /** Vector that is embedded and added to the time's embedding, by the names of its layers. */
  readonly added: { readonly name: 'add_embedding' | 'class_embedding'; readonly length: number } | null;
  readonly kernelIn: number;
  readonly kernelOut: number;
  readonly centerInput: boolean;
}

/** Attention to the context: the prefix of its weights, and its width. */
interface Attention {
  readonly name: string;
  readonly channels: number;
}

/** How norms over groups of channels are made. */
type NormStyle = Pick<ConditionalDescription, 'groups' | 'epsilon'>;

/** Compiles a conditional U-Net. */
class Compiler {
  /** Attentions to the context, in the order in which their keys and values lie in it. */
  readonly attentions: Attention[] = [];
  readonly #description: ConditionalDescription;
  readonly #graph: GraphBuilder;
  readonly #contextOf: ContextOf;
  readonly #skips: number[] = [];
  #embedding = 0;

  constructor(description: ConditionalDescription, graph: GraphBuilder, contextOf: ContextOf) {
    this.#description = description;
    this.#graph = graph;
    this.#contextOf = (name, channels) => {
      this.attentions.push({ name, channels });
      return contextOf(name, channels);
    };
  }

  compile(image: number, head: HeadDescription | null = null): void {
    const { levels, centerInput, kernelIn, kernelOut, outChannels, groups, epsilon } = this.#description;
    this.#embedding = silu(this.#graph, 'time_embedding.silu', this.#embed());
    const input = centerInput ? this.#graph.add({ op: 'affine', scale: 2, shift: -1 }, 'center_input', [image]) : image;
    let h = this.#push(
      convolution(this.#graph, 'conv_in', this.#map(input, kernelIn), this.#width(0), { kernel: kernelIn }),
    );
    for (const i of levels.keys()) h = this.#down(h, i);
    h = this.#middle(h);
    for (const i of levels.keys()) h = this.#up(h, i);
    const last = silu(this.#graph, 'conv_norm_out.silu', groupNorm(this.#graph, 'conv_norm_out', h, groups, epsilon));
    this.#graph.output('output', convolution(this.#graph, 'conv_out', last, outChannels, { kernel: kernelOut }));
    if (head !== null) this.#head(head, h);
  }

  /** Adds a second output, made of the map that the output norm sees. */
  #head({ prefix, complex, outChannels, groups, epsilon }: HeadDescription, x: number): void {
    const { channels } = this.#graph.value(x);
    const h = complex ? this.#residual(`${prefix}.resnet`, x, channels, { groups, epsilon }) : x;
    const normed = groupNorm(this.#graph, `${prefix}.norm_out`, h, groups, epsilon);
    const last = silu(this.#graph, `${prefix}.norm_out.silu`, normed);
    this.#graph.output('head', convolution(this.#graph, `${prefix}.conv_out`, last, outChannels));
  }

  /** Gives what a convolution reads: one of a single pixel reads no tensor of the caller. */
  #map(input: number, kernel: number): number {
    return kernel === 1 ? copied(this.#graph, 'image', input) : input;
  }

  #width(level: number): number {
    return at(this.#description.levels, level).channels;
  }

  #embed(): number {
    const { time, guidanceFeatures, classes, added } = this.#description;
    const vector = (binding: string, channels: number): number =>
      this.#graph.input(binding, { channels, height: 1, width: 1 });
    const operation = {
      op: 'time_embedding',
      length: this.#width(0),
      frequencyShift: time.shift,
      order: time.order,
      logarithmic: false,
    } as const;
    let e = this.#graph.add(operation, 'time_proj', [vector('time', 1)]);
    if (guidanceFeatures !== null) {
      const given = copied(this.#graph, 'guidance', vector('guidance', guidanceFeatures));
      const projected = linear(this.#graph, 'time_embedding.cond_proj', given, this.#width(0), false);
      e = sum(this.#graph, 'time_embedding.guidance', e, projected);
    }
    e = this.#mlp('time_embedding', e);
    if (classes > 0) {
      const weights = [this.#graph.constant('class_embedding.weight', [classes, time.embedding])];
      const row = this.#graph.add({ op: 'embedding' }, 'class_embedding', [vector('label', 1)], { weights });
      e = sum(this.#graph, 'class_embedding.add', e, row);
    }
    if (added !== null) {
      const given = copied(this.#graph, 'added', vector('added', added.length));
      e = sum(this.#graph, `${added.name}.add`, e, this.#mlp(added.name, given));
    }
    return e;
  }

  #mlp(name: string, input: number): number {
    return embeddingMlp(this.#graph, name, input, this.#description.time.embedding);
  }

  #push(h: number): number {
    this.#skips.push(h);
    return h;
  }

  #down(x: number, i: number): number {
    const { layers, channels, depthDown } = at(this.#description.levels, i);
    const name = `down_blocks.${i}`;
    let h = x;
    for (let layer = 0; layer < layers; ++layer) {
      h = this.#residual(`${name}.resnets.${layer}`, h, channels);
      h = this.#push(this.#transformer(`${name}.attentions.${layer}`, h, i, depthDown));
    }
    if (i === this.#description.levels.length - 1) return h;
    return this.#push(convolution(this.#graph, `${name}.downsamplers.0.conv`, h, channels, { stride: 2 }));
  }

  #middle(x: number): number {
    const { middle, levels } = this.#description;
    if (middle === null) return x;
    const { channels } = this.#graph.value(x);
    let h = this.#residual('mid_block.resnets.0', x, channels);
    h = this.#transformer('mid_block.attentions.0', h, levels.length - 1, middle.depth, false);
    return this.#residual('mid_block.resnets.1', h, channels);
  }

  #up(x: number, i: number): number {
    const level = this.#description.levels.length - 1 - i;
    const { layers, channels, depthUp } = at(this.#description.levels, level);
    const name = `up_blocks.${i}`;
    let h = x;
    for (let layer = 0; layer <= layers; ++layer) {
      const skip = this.#skips.pop();
      if (skip === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a skip is popped that was never pushed');
      h = this.#graph.add({ op: 'concat' }, `${name}.concat.${layer}`, [h, skip]);
      h = this.#residual(`${name}.resnets.${layer}`, h, channels);
      h = this.#transformer(`${name}.attentions.${layer}`, h, level, depthUp);
    }
    if (level === 0) return h;
    return convolution(this.#graph, `${name}.upsamplers.0.conv`, this.#enlarged(`${name}.nearest`, h), channels);
  }

  /** Enlarges a map to the size of the next skip, which is twice its own but where a side was odd on the way down. */
  #enlarged(name: string, x: number): number {
    const own = this.#graph.value(x);
    const { height, width } = this.#graph.value(this.#skips.at(-1) ?? x);
    const doubles = height === 2 * own.height && width === 2 * own.width;
    return this.#graph.add(doubles ? { op: 'upsample' } : { op: 'upsample', height, width }, name, [x]);
  }

  #residual(name: string, x: number, to: number, norms: NormStyle = this.#description): number {
    const { timeMode } = this.#description;
    const { groups, epsilon } = norms;
    const normed = (norm: string, input: number): number => groupNorm(this.#graph, norm, input, groups, epsilon);
    const isScaled = timeMode === 'scale-shift';
    let h = silu(this.#graph, `${name}.act1`, normed(`${name}.norm1`, x));
    h = convolution(this.#graph, `${name}.conv1`, h, to);
    const projection = linear(this.#graph, `${name}.time_emb_proj`, this.#embedding, (isScaled ? 2 : 1) * to);
    if (!isScaled) h = this.#graph.add({ op: 'channel_add' }, `${name}.time_add`, [h, projection]);
    h = normed(`${name}.norm2`, h);
    if (isScaled) h = this.#graph.add({ op: 'scale_shift' }, `${name}.scale_shift`, [h, projection]);
    h = convolution(this.#graph, `${name}.conv2`, silu(this.#graph, `${name}.act2`, h), to);
    const isWidened = this.#graph.value(x).channels !== to;
    const shortcut = isWidened ? convolution(this.#graph, `${name}.conv_shortcut`, x, to, { kernel: 1 }) : x;
    return sum(this.#graph, `${name}.add`, h, shortcut);
  }

  #transformer(name: string, x: number, level: number, depth: number, mayBeCross = true): number {
    if (depth === 0) return x;
    const { groups, linearProjection, levels } = this.#description;
    const { heads, onlyCross } = at(levels, level);
    const style: TransformerBlock = {
      name,
      depth,
      heads,
      groups,
      linearProjection,
      onlyCross: mayBeCross && onlyCross,
    };
    return transformer(this.#graph, style, x, this.#contextOf);
  }
}

/** Lists the attentions to the context. */
function attentionsOf(description: ConditionalDescription): readonly Attention[] {
  const graph = new GraphBuilder();
  const none = (_: string, channels: number): KeysAndValues => {
    const map = graph.input('keys', { channels, height: 1, width: 1 });
    return { keys: map, values: map };
  };
  const compiler = new Compiler(description, graph, none);
  const side = 2 ** description.levels.length;
  compiler.compile(graph.input('image', { channels: description.inChannels, height: side, width: side }));
  return compiler.attentions;
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

/**
 * Builds the graph of a conditional U-Net for images of a size and contexts of a number of tokens.
 *
 * Inputs: `image` [C, H, W], `time`, `context` (what the graph of the prompt gives) and, where the network has them, `label`,
 * `added` and `guidance`. Output `output` [C', H, W] and, with a head, `head`.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose channels or sides do not fit.
 */
export function conditionalGraph(
  description: ConditionalDescription,
  { height, width, tokens }: Pick<Extents, 'height' | 'width'> & { tokens: number },
  head: HeadDescription | null = null,
): Graph {
  const graph = new GraphBuilder();
  const image = graph.input('image', { channels: description.inChannels, height, width });
  const channels = contextChannels(description);
  const given = channels === 0 ? null : graph.input('context', { channels, height: tokens, width: 1 }, 'group');
  const context = given === null ? 0 : copied(graph, 'context', given);
  let first = 0;
  const part = (name: string, count: number): number => {
    const view = { op: 'view', first, channels: count, height: tokens, width: 1 } as const;
    first += count;
    return graph.add(view, name, [context]);
  };
  const contextOf: ContextOf = (name, count) => ({
    keys: part(`${name}.to_k`, count),
    values: part(`${name}.to_v`, count),
  });
  new Compiler(description, graph, contextOf).compile(image, head);
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
  new Compiler(description, graph, contextOf).compile(image, head);
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
