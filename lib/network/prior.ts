import { GraphBuilder, type Graph } from './graph.js';
import { copied, layerNorm, linear, silu, sum } from './layers.js';

/** Diffusion prior (Ramesh et al. 2022, DALL-E 2): a transformer that predicts the embedding of an image from a text. */
export interface PriorDescription {
  /** Width of the embeddings of images, and of the states of a text's tokens. */
  readonly embedding: number;
  /** Width of the embedding of a text. */
  readonly textEmbedding: number;
  /** Number of tokens of a text, padding included. */
  readonly tokens: number;
  /** Width of the transformer. */
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  /** Width between the two linear layers of the time's embedding. */
  readonly timeInner: number;
}

/** Number of tokens behind those of the text: its embedding, the time, the state, and the one whose result is read. */
export const tokensBehindText = 4;

const epsilon = 1e-5;

/** Compiles a diffusion prior. */
class Compiler {
  readonly #description: PriorDescription;
  readonly #graph = new GraphBuilder();
  /** Number of all tokens. */
  readonly #all: number;
  readonly #one: number;

  constructor(description: PriorDescription) {
    this.#description = description;
    this.#all = description.tokens + tokensBehindText;
    this.#one = this.#graph.given('tokens.one', [1, 1], Float32Array.of(1));
  }

  compile(): Graph {
    const { embedding, textEmbedding, layers } = this.#description;
    const image = this.#graph.input('image', { channels: embedding, height: 1, width: 1 });
    const text = this.#graph.input('context', { channels: embedding, height: this.#description.tokens, width: 1 });
    const added = this.#graph.input('added', { channels: textEmbedding + this.#all, height: 1, width: 1 });
    const vectors = copied(this.#graph, 'added', added);
    const logits = copied(this.#graph, 'logits', this.#part('logits.view', vectors, textEmbedding, this.#all));
    let h = this.#sequence(image, text, copied(this.#graph, 'text', this.#part('text', vectors, 0, textEmbedding)));
    for (let i = 0; i < layers; ++i) h = this.#block(`transformer_blocks.${i}`, h, logits);
    const last = this.#selected('last', h, 1, (_, token) => token === this.#all - 1);
    const normed = layerNorm(this.#graph, 'norm_out', last, epsilon);
    this.#graph.output('output', linear(this.#graph, 'proj_to_clip_embeddings', normed, embedding));
    return this.#graph.build();
  }

  #part(name: string, vector: number, first: number, channels: number): number {
    return this.#graph.add({ op: 'view', first, channels, height: 1, width: 1 }, name, [vector]);
  }

  /** Makes the sequence of all tokens, [width, all, 1], with their positions. */
  #sequence(image: number, text: number, textEmbedding: number): number {
    const { width, tokens } = this.#description;
    const projected = (name: string, input: number): number => linear(this.#graph, name, input, width);
    const time = this.#time();
    // The last token is the same for all: the bias of nothing.
    const nothing = this.#graph.add({ op: 'affine', scale: 0, shift: 0 }, 'prd_embedding.zero', [time]);
    const vectors = [
      projected('embedding_proj', textEmbedding),
      time,
      projected('proj_in', copied(this.#graph, 'image', image)),
      this.#graph.add({ op: 'bias' }, 'prd_embedding', [nothing], {
        biases: [this.#graph.constant('prd_embedding', [width])],
      }),
    ];
    const ofText = projected('encoder_hidden_states_proj', copied(this.#graph, 'context', text));
    const all = vectors.reduce(
      (before, vector, i) =>
        sum(this.#graph, `tokens.${i}.add`, before, this.#placed(`tokens.${i}`, vector, tokens + i)),
      this.#placed('tokens.text', ofText, 0),
    );
    const biases = [this.#graph.constant('positional_embedding', [width, this.#all])];
    return this.#graph.add({ op: 'position' }, 'positional_embedding', [all], { biases });
  }

  #time(): number {
    const { width, timeInner } = this.#description;
    const time = this.#graph.input('time', { channels: 1, height: 1, width: 1 });
    const sinusoids = { length: width, frequencyShift: 0, order: 'cos-sin', logarithmic: false } as const;
    const features = this.#graph.add({ op: 'time_embedding', ...sinusoids }, 'time_proj', [time]);
    const inner = linear(this.#graph, 'time_embedding.linear_1', features, timeInner);
    return linear(this.#graph, 'time_embedding.linear_2', silu(this.#graph, 'time_embedding.act', inner), width);
  }

  /** Puts tokens to their places among all, the others 0. */
  #placed(name: string, tokens: number, first: number): number {
    return this.#selected(name, tokens, this.#all, (to, from) => to === first + from);
  }

  /** Selects tokens by a matrix of ones and zeros. */
  #selected(name: string, tokens: number, count: number, isSame: (to: number, from: number) => boolean): number {
    const { height } = this.#graph.value(tokens);
    const values = Float32Array.from({ length: count * height }, (_, i) =>
      isSame(Math.floor(i / height), i % height) ? 1 : 0,
    );
    const weights = [this.#graph.given(`${name}.places`, [count, height], values), this.#one];
    return this.#graph.add({ op: 'separable' }, name, [tokens], { weights });
  }

  #block(name: string, x: number, logits: number): number {
    const { width, heads } = this.#description;
    const normed = layerNorm(this.#graph, `${name}.norm1`, x, epsilon);
    const parts = ['to_q', 'to_k', 'to_v'].map((part) => linear(this.#graph, `${name}.attn1.${part}`, normed, width));
    const operation = { op: 'attention', heads, causal: true } as const;
    const attended = this.#graph.add(operation, `${name}.attn1`, [...parts, logits]);
    const h = sum(this.#graph, `${name}.attended`, linear(this.#graph, `${name}.attn1.to_out.0`, attended, width), x);
    const wide = linear(
      this.#graph,
      `${name}.ff.net.0.proj`,
      layerNorm(this.#graph, `${name}.norm3`, h, epsilon),
      4 * width,
    );
    const active = this.#graph.add({ op: 'activation', kind: 'gelu' }, `${name}.ff.act`, [wide]);
    return sum(this.#graph, `${name}.add`, linear(this.#graph, `${name}.ff.net.2`, active, width), h);
  }
}

/**
 * Builds the graph of a diffusion prior.
 *
 * Inputs: `image`, the state [embedding, 1, 1]; `time`; `context`, the states of a text's tokens [embedding, tokens, 1];
 * `added`, the text's embedding and what is added to the logits of each of the tokens + 4 keys. Output `output`
 * [embedding, 1, 1].
 */
export function priorGraph(description: PriorDescription): Graph {
  return new Compiler(description).compile();
}
