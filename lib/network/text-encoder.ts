import { GraphBuilder, type Graph } from './graph.js';
import { copied, layerNorm, linear, sum } from './layers.js';

/** CLIP's text encoder: a transformer over the tokens of a text, each of which sees those before it. */
export interface TextEncoderDescription {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Width between the two linear layers of a block. */
  readonly inner: number;
  readonly activation: 'quick_gelu' | 'gelu';
  readonly epsilon: number;
  /** Number of tokens of a text, padding included. */
  readonly tokens: number;
  /** Number of tokens of the vocabulary. */
  readonly vocabulary: number;
  /** Width of the projection of the pooled state; null: there is none. */
  readonly projection: number | null;
}

/** What of an encoder is computed. */
export interface TextEncoderOutputs {
  /** Number of layers behind which the states are taken, from 0, the tokens' own, on. */
  readonly layers: number;
  /** True if the final norm is applied to them. */
  readonly normed: boolean;
  /** True if the states behind all layers, normed and projected, are a second output. */
  readonly pooled: boolean;
}

function block(graph: GraphBuilder, description: TextEncoderDescription, name: string, x: number): number {
  const { width, heads, inner, activation, epsilon } = description;
  const normed = layerNorm(graph, `${name}.layer_norm1`, x, epsilon);
  const parts = ['q', 'k', 'v'].map((part) => linear(graph, `${name}.self_attn.${part}_proj`, normed, width));
  const attended = graph.add({ op: 'attention', heads, causal: true }, `${name}.self_attn`, parts);
  const h = sum(graph, `${name}.attended`, linear(graph, `${name}.self_attn.out_proj`, attended, width), x);
  const wide = linear(graph, `${name}.mlp.fc1`, layerNorm(graph, `${name}.layer_norm2`, h, epsilon), inner);
  const active = graph.add({ op: 'activation', kind: activation }, `${name}.mlp.act`, [wide]);
  return sum(graph, `${name}.add`, linear(graph, `${name}.mlp.fc2`, active, width), h);
}

/** Adds the positions to the embeddings of tokens, which gives what the first layer sees. */
function positioned(graph: GraphBuilder, { width, tokens }: TextEncoderDescription, embeddings: number): number {
  const biases = [graph.constant('embeddings.position_embedding.weight', [width, tokens])];
  return graph.add({ op: 'position' }, 'embeddings', [embeddings], { biases });
}

/** Adds a text encoder whose table of tokens is in the graph, and gives the states behind all layers, normed. */
export function encodedTokens(graph: GraphBuilder, description: TextEncoderDescription, tokens: number): number {
  const { width, layers, epsilon } = description;
  let h = positioned(graph, description, linear(graph, 'embeddings.token_embedding', tokens, width, false));
  for (let i = 0; i < layers; ++i) h = block(graph, description, `encoder.layers.${i}`, h);
  return layerNorm(graph, 'final_layer_norm', h, epsilon);
}

/**
 * Builds the graph of a text encoder.
 *
 * Input `image`: the embeddings of the tokens, [width, tokens, 1]. Outputs of the same sides: `output`, the states, and,
 * where `pooled` is asked for, `head`, the projected states.
 */
export function textEncoderGraph(description: TextEncoderDescription, outputs: TextEncoderOutputs): Graph {
  const { width, tokens, layers, epsilon, projection } = description;
  const graph = new GraphBuilder();
  const input = graph.input('image', { channels: width, height: tokens, width: 1 });
  let h = positioned(graph, description, copied(graph, 'embeddings', input));
  const final = (x: number): number => layerNorm(graph, 'final_layer_norm', x, epsilon);
  const states = (): number => copied(graph, 'states', outputs.normed ? final(h) : h);
  if (outputs.layers === 0) graph.output('output', states());
  for (let i = 0; i < (outputs.pooled ? layers : outputs.layers); ++i) {
    h = block(graph, description, `encoder.layers.${i}`, h);
    if (i + 1 === outputs.layers) graph.output('output', states());
  }
  if (outputs.pooled) {
    const all = final(h);
    graph.output(
      'head',
      projection === null ? copied(graph, 'pooled', all) : linear(graph, 'text_projection', all, projection, false),
    );
  }
  return graph.build();
}
