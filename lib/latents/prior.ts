import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, kinds, type OptionKinds, requireKind } from '../base/option-kinds.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import { readPrior, type ReadPrior } from '../checkpoint/pipelines/prior.js';
import { checkedBatch, checkedTimes, networkTimes } from '../engine/inputs.js';
import { priorGraph, tokensBehindText } from '../network/prior.js';
import { LatentNetwork } from './latent-network.js';
import { type LatentNetworkOptions, readAndOpen } from './load-options.js';
import { transposed } from './tokens.js';

/** Options of {@link DiffusionPrior.forward}. */
export interface PriorForwardOptions {
  /** States of the texts' tokens, [N, tokens, width]. */
  hidden: Float32Array;
  /** Embeddings of the texts, [N, text width]. */
  pooled: Float32Array;
  /** Ones for the tokens of the texts and zeros for padding, [N, tokens]. Default: nothing is padding. */
  mask?: ArrayLike<number> | undefined;
}

const forwardKinds: OptionKinds<PriorForwardOptions> = {
  hidden: kinds.floats,
  pooled: kinds.floats,
  mask: kinds.numbers,
};

/** What is added to the logits of padding: enough for a weight of 0, and what the networks were trained with. */
const LOGIT_OF_PADDING = -10_000;

const named = { who: 'DiffusionPrior.load', what: 'prior' };

/**
 * Diffusion prior of DALL-E 2 (`PriorTransformer`; Ramesh et al. 2022) on a device: predicts the embedding of an image from
 * a noisy one and a text. Close it when done.
 */
export class DiffusionPrior extends LatentNetwork {
  /** Width of the embeddings of images, and of the states of a text's tokens. */
  readonly width: number;
  /** Width of the embeddings of texts. */
  readonly textWidth: number;
  /** Number of tokens of a text, padding included. */
  readonly tokens: number;
  readonly #read: ReadPrior;

  private constructor(opened: OpenedDevice, read: ReadPrior) {
    const { description, checkpoint } = read;
    super({
      what: named.what,
      opened,
      checkpoint,
      network: () => ({ graph: priorGraph(description) }),
    });
    this.#read = read;
    this.width = description.embedding;
    this.textWidth = description.textEmbedding;
    this.tokens = description.tokens;
  }

  /**
   * Loads a diffusion prior.
   *
   * @param path - Path or file URL of a folder in diffusers' layout with the `config.json` and weights of a
   * `PriorTransformer`: `prior/` of a pipeline.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   */
  static async load(path: string | URL, options: LatentNetworkOptions = {}): Promise<DiffusionPrior> {
    const { opened, read } = await readAndOpen(named, path, options, readPrior);
    return new DiffusionPrior(opened, read);
  }

  /**
   * Evaluates the network once.
   *
   * @param x - Noisy embeddings of images [N, width], row-major; N follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one each.
   * @returns Predictions of the embeddings without noise [N, width] ({@link DiffusionPrior.fromDiffusion}).
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` if an argument does not fit the network.
   *
   * @example
   * ```ts
   * await using encoder = await ClipTextEncoder.load('karlo/text_encoder');
   * await using prior = await DiffusionPrior.load('karlo/prior');
   * const { ids, padded } = tokenizer.tokenize('a photo of a cat');
   * const mask = Array.from(padded, (_, i) => (i < ids.length + 2 ? 1 : 0)); // start, text and end
   * const predicted = await prior.forward(x, 999, { ...(await encoder.encode(padded)), mask });
   * ```
   */
  async forward(x: Float32Array, t: number | ArrayLike<number>, options: PriorForwardOptions): Promise<Float32Array> {
    checkOptions('forward', options, forwardKinds);
    requireKind('x', x, kinds.floats);
    requireKind('t', t, networkTimes);
    const { hidden, pooled, mask } = options;
    requireKind('hidden', hidden, kinds.floats);
    requireKind('pooled', pooled, kinds.floats);
    const batch = checkedBatch(x.length, this.width);
    requireLength('hidden', hidden, batch, this.tokens * this.width);
    requireLength('pooled', pooled, batch, this.textWidth);
    if (mask !== undefined) this.#checkMask(mask, batch);
    const tensors = {
      times: checkedTimes(t, batch),
      given: { context: transposed(hidden, batch, this.tokens), added: this.#added(pooled, mask, batch) },
    };
    const states = x.slice();
    return this.networks.using({ part: 'prior', height: 1, width: 1 }, async (network) => {
      const out = new Float32Array(batch * this.width);
      await network.forward(batch, states, out, tensors);
      return out;
    });
  }

  /** Gives the embeddings of images that predictions stand for: scaled and shifted as the images of the training were. */
  fromDiffusion(x: Float32Array): Float32Array {
    requireKind('x', x, kinds.floats);
    checkedBatch(x.length, this.width);
    const { mean, deviation } = this.#read;
    return x.map((value, i) => value * (deviation[i % this.width] ?? 1) + (mean[i % this.width] ?? 0));
  }

  #checkMask(mask: ArrayLike<number>, batch: number): void {
    requireLength('mask', mask, batch, this.tokens);
    const given: readonly unknown[] = Array.from(mask);
    const wrong = given.findIndex((value) => value !== 0 && value !== 1);
    if (wrong >= 0) throw wrongValue(`mask[${wrong}]`, given[wrong], '0 or 1');
    // The first token sees itself alone, and without it nothing at all.
    const empty = given.findIndex((value, i) => i % this.tokens === 0 && value === 0);
    if (empty >= 0) throw wrongValue(`mask[${empty}]`, 0, '1: the first token of a text is no padding');
  }

  /** Makes the embedding of each text, followed by what is added to the logits of all keys. */
  #added(pooled: Float32Array, mask: ArrayLike<number> | undefined, batch: number): Float32Array {
    const stride = this.textWidth + this.tokens + tokensBehindText;
    const added = new Float32Array(batch * stride);
    for (let n = 0; n < batch; ++n) {
      added.set(pooled.subarray(n * this.textWidth, (n + 1) * this.textWidth), n * stride);
      for (let token = 0; token < this.tokens; ++token) {
        if (mask?.[n * this.tokens + token] === 0) added[n * stride + this.textWidth + token] = LOGIT_OF_PADDING;
      }
    }
    return added;
  }
}

function requireLength(what: string, given: ArrayLike<number>, batch: number, length: number): void {
  if (given.length === batch * length) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${what} has ${given.length} elements, ${batch} samples have ${batch} x ${length}`,
  );
}
