import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, kinds, type OptionKinds } from '../base/option-kinds.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import { readTextEncoder, tokenTable, type ReadTextEncoder } from '../checkpoint/pipelines/text-encoder.js';
import { openTable, type Table } from '../checkpoint/table-rows.js';
import { textEncoderGraph } from '../network/text-encoder.js';
import { LatentNetwork } from './latent-network.js';
import { type LatentNetworkOptions, readAndOpen } from './load-options.js';
import type { NetworkSize } from './sized-networks.js';
import { transposed } from './tokens.js';

/** Options of {@link ClipTextEncoder.encode}. */
export interface EncodeTextOptions {
  /** Number of last layers whose states are not used. Default 0. */
  skippedLayers?: number | undefined;
  /** True if the final norm is applied to the states. Default true. */
  normed?: boolean | undefined;
}

const encodeKinds: OptionKinds<EncodeTextOptions> = { skippedLayers: kinds.number, normed: kinds.boolean };

/** Size of evaluations, for {@link ClipTextEncoder.bytesFor}. */
export interface TextEncoderSize extends EncodeTextOptions {
  /** Number of texts at once. Default 1. */
  batch?: number | undefined;
}

const sizeKinds: OptionKinds<TextEncoderSize> = { ...encodeKinds, batch: kinds.positiveInteger };

/** What a text encoder makes of texts. */
export interface EncodedText {
  /** States of the tokens, [N, tokens, width]. */
  readonly hidden: Float32Array;
  /** State of each text's end behind all layers, normed and, where the encoder has a projection, projected: [N, width]. */
  readonly pooled: Float32Array;
}

/** Kind of ids of tokens. */
const idsKind = { expected: 'an Int32Array', holds: (value: unknown) => value instanceof Int32Array };

const named = { who: 'ClipTextEncoder.load', what: 'text encoder' };

/** CLIP's text encoder, as Stable Diffusion's pipelines have it, on a device. Close it when done. */
export class ClipTextEncoder extends LatentNetwork {
  /** Number of tokens of a text, padding included. */
  readonly tokens: number;
  /** Width of the states. */
  readonly width: number;
  /** Width of the pooled state. */
  readonly pooledWidth: number;
  /** Number of tokens that it knows. */
  readonly vocabulary: number;
  /** Number of layers. */
  readonly layers: number;
  readonly #read: ReadTextEncoder;
  readonly #table: Table;
  readonly #added: Float32Array;

  private constructor(opened: OpenedDevice, read: ReadTextEncoder) {
    const { description, checkpoint } = read;
    super({
      what: named.what,
      opened,
      checkpoint,
      network: ({ part }) => {
        const normed = part.startsWith('normed');
        return { graph: textEncoderGraph(description, { layers: Number(part.slice(6)), normed, pooled: true }) };
      },
    });
    this.#read = read;
    this.#table = openTable(checkpoint, tokenTable);
    this.tokens = description.tokens;
    this.width = description.width;
    this.pooledWidth = description.projection ?? description.width;
    this.#added = read.added ?? new Float32Array();
    this.vocabulary = description.vocabulary + this.#added.length / description.width;
    this.layers = description.layers;
  }

  /**
   * Loads a text encoder.
   *
   * @param path - Path or file URL of a folder in the layout of transformers with the `config.json` and weights of a
   * `CLIPTextModel` or `CLIPTextModelWithProjection`: `text_encoder/` of a pipeline.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * const tokenizer = await ClipTokenizer.load('stable-diffusion-v1-5/tokenizer');
   * await using encoder = await ClipTextEncoder.load('stable-diffusion-v1-5/text_encoder', { device: 'cpu' });
   * const { hidden } = await encoder.encode(tokenizer.tokenize('a photo of a cat').padded);
   * ```
   */
  static async load(path: string | URL, options: LatentNetworkOptions = {}): Promise<ClipTextEncoder> {
    const { opened, read } = await readAndOpen(named, path, options, readTextEncoder);
    return new ClipTextEncoder(opened, read);
  }

  /** Makes a text encoder that has been read. @internal */
  static on(opened: OpenedDevice, read: ReadTextEncoder): ClipTextEncoder {
    return new ClipTextEncoder(opened, read);
  }

  /**
   * Computes the states of texts.
   *
   * @param ids - Ids of the tokens of N texts, [N, tokens]: start, the text, end and padding.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for ids that are no whole texts; `ERR_DPM_ARGUMENT` naming an id that
   * is not in the vocabulary, or more skipped layers than there are.
   */
  async encode(ids: Int32Array, options: EncodeTextOptions = {}): Promise<EncodedText> {
    checkOptions('encode', options, encodeKinds);
    const given = this.#checkedIds(ids);
    const batch = given.length / this.tokens;
    return this.networks.using(this.#sizeFor(options), async (network) => {
      const embeddings = transposed(await this.#rows(given), batch, this.tokens);
      const states = new Float32Array(batch * this.tokens * this.width);
      const projected = new Float32Array(batch * this.tokens * this.pooledWidth);
      await network.forward(batch, embeddings, states, { head: projected });
      return { hidden: transposed(states, batch, this.width), pooled: this.#pooled(projected, given) };
    });
  }

  /**
   * Computes what evaluations take in memory: the packed weights and the maps. Loads the network for these options.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
   */
  async bytesFor(options: TextEncoderSize = {}): Promise<number> {
    checkOptions('bytesFor', options, sizeKinds);
    const { batch = 1, ...others } = options;
    const { weights, maps } = await this.networks.bytesFor(this.#sizeFor(others), batch);
    return weights + maps;
  }

  #sizeFor({ skippedLayers = 0, normed = true }: EncodeTextOptions): NetworkSize {
    if (!Number.isInteger(skippedLayers) || skippedLayers < 0 || skippedLayers > this.layers) {
      throw wrongValue('skippedLayers', skippedLayers, `an integer from 0 to ${this.layers}`);
    }
    const part = `${normed ? 'normed' : 'states'}${this.layers - skippedLayers}`;
    return { part, height: this.tokens, width: 1 };
  }

  #checkedIds(ids: Int32Array): Int32Array {
    if (!idsKind.holds(ids)) throw wrongValue('ids', ids, idsKind.expected);
    if (ids.length === 0 || ids.length % this.tokens !== 0) {
      throw new DpmError('ERR_DPM_TENSOR_SHAPE', `there are ${ids.length} ids, a text has ${this.tokens}`);
    }
    const { vocabulary } = this;
    const wrong = ids.findIndex((id) => id < 0 || id >= vocabulary);
    if (wrong >= 0) throw wrongValue(`ids[${wrong}]`, ids[wrong], `an integer from 0 to ${vocabulary - 1}`);
    return ids.slice();
  }

  /** Gives the embeddings of tokens, [ids, width]: those of the table, and those that were added behind it. */
  async #rows(ids: Int32Array): Promise<Float32Array> {
    const { width } = this;
    const { vocabulary } = this.#read.description;
    const rows = await this.#table.rows(ids.map((id) => (id < vocabulary ? id : 0)));
    for (const [i, id] of ids.entries()) {
      if (id < vocabulary) continue;
      const from = (id - vocabulary) * width;
      rows.set(this.#added.subarray(from, from + width), i * width);
    }
    return rows;
  }

  /** Picks each text's state at its end. */
  #pooled(projected: Float32Array, ids: Int32Array): Float32Array {
    const { tokens, pooledWidth } = this;
    const { endToken, description } = this.#read;
    // Tokens that were added have ids behind that of the end.
    const known = (id: number): number => (id < description.vocabulary ? id : -1);
    const pooled = new Float32Array((ids.length / tokens) * pooledWidth);
    for (let n = 0; n < ids.length / tokens; ++n) {
      const text = ids.subarray(n * tokens, (n + 1) * tokens);
      const end = text.indexOf(endToken ?? text.reduce((most, id) => Math.max(most, known(id)), 0));
      // A text without an end is pooled at its first token, as by the library.
      const at = n * pooledWidth * tokens + Math.max(0, end);
      for (let c = 0; c < pooledWidth; ++c) pooled[n * pooledWidth + c] = projected[at + c * tokens] ?? 0;
    }
    return pooled;
  }
}
