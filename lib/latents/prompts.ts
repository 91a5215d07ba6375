import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { ReadTextEncoder } from '../checkpoint/pipelines/text-encoder.js';
import type { Device } from '../engine/device.js';
import type { ClipTokenizer, TokenizedText } from '../text/tokenizer.js';
import { requireFittingTokens } from './fitting.js';
import type { EncoderSource } from './pipeline-source.js';
import { ClipTextEncoder } from './text-encoder.js';

/** What a pipeline's network sees of a text. */
export interface EncodedPrompt {
  /** States of the tokens, [tokens, width]. */
  readonly hidden: Float32Array;
  /** Pooled states, [width], where the network sees them; null: it does not. */
  readonly pooled: Float32Array | null;
  /** True if tokens were left out. */
  readonly truncated: boolean;
}

/** A text to be encoded. */
export interface PromptText {
  readonly text: string;
  /** Number of evaluations' worth of tokens, those of the empty text included; null: what does not fit into one is left out. */
  readonly chunks: number | null;
}

/** A text encoder that has been read, with its tokenizer. */
export interface ReadEncoder {
  readonly tokenizer: ClipTokenizer;
  readonly read: ReadTextEncoder;
}

interface Part extends ReadEncoder {
  readonly encoder: ClipTextEncoder;
}

/** Most evaluations' worth of tokens that are encoded at once. */
const MOST_AT_ONCE = 16;

/** Joins rows of two matrices side by side. */
function beside(first: Float32Array, second: Float32Array, rows: number): Float32Array {
  const [a, b] = [first.length / rows, second.length / rows];
  const joined = new Float32Array(first.length + second.length);
  for (let row = 0; row < rows; ++row) {
    joined.set(first.subarray(row * a, (row + 1) * a), row * (a + b));
    joined.set(second.subarray(row * b, (row + 1) * b), row * (a + b) + a);
  }
  return joined;
}

/** The text encoders of a pipeline with their tokenizers. */
export class PromptEncoders {
  readonly #parts: readonly Part[];
  readonly #isPooled: boolean;

  private constructor(parts: readonly Part[], isPooled: boolean) {
    this.#parts = parts;
    this.#isPooled = isPooled;
  }

  /** Reads the text encoders and tokenizers of a pipeline. @throws {@link DpmError} naming the file and the wrong field. */
  static async read(encoders: readonly EncoderSource[], signal: AbortSignal | undefined): Promise<ReadEncoder[]> {
    const parts: ReadEncoder[] = [];
    for (const { read, tokenizer, names } of encoders) {
      throwIfAborted(signal);
      const part = { tokenizer: await tokenizer(), read: await read() };
      requireFittingTokens(names, { tokenizer: part.tokenizer, encoder: part.read.description });
      parts.push(part);
    }
    return parts;
  }

  /**
   * Makes text encoders that have been read.
   *
   * @param isPooled - True if the network sees pooled states of the last encoder beside the states before the last layers.
   */
  static on(device: Device, parts: readonly ReadEncoder[], isPooled: boolean): PromptEncoders {
    const own = parts.map((part) => ({ ...part, encoder: encoderOn(device, part.read) }));
    return new PromptEncoders(own, isPooled);
  }

  /** Gives these text encoders with other weights; those of the same weights are these themselves. */
  replaced(reads: readonly ReadTextEncoder[], device: Device): PromptEncoders {
    const parts = this.#parts.map((part, i) => {
      const read = at(reads, i);
      return read === part.read ? part : { ...part, read, encoder: encoderOn(device, read) };
    });
    return new PromptEncoders(parts, this.#isPooled);
  }

  /** The text encoders by themselves. */
  get networks(): readonly ClipTextEncoder[] {
    return this.#parts.map(({ encoder }) => encoder);
  }

  /** Width of the states of a token. */
  get width(): number {
    return this.#parts.reduce((sum, { encoder }) => sum + encoder.width, 0);
  }

  /** Number of tokens of one evaluation. */
  get tokens(): number {
    return at(this.#parts, 0).encoder.tokens;
  }

  tokenize(text: string): TokenizedText {
    return at(this.#parts, 0).tokenizer.tokenize(text);
  }

  /** Counts the evaluations' worth of tokens that a text has, by the tokenizer that takes most. */
  chunkCount(text: string): number {
    return Math.max(...this.#parts.map(({ tokenizer }) => tokenizer.tokenize(text).chunks.length));
  }

  /** Computes what encoding so many texts at once takes in memory. */
  async bytesFor(texts: number): Promise<number> {
    const options = { batch: Math.min(texts, MOST_AT_ONCE), normed: !this.#isPooled };
    const bytes = await Promise.all(
      this.#parts.map(({ encoder }) => encoder.bytesFor({ ...options, skippedLayers: options.normed ? 0 : 1 })),
    );
    return bytes.reduce((sum, each) => sum + each, 0);
  }

  /**
   * Encodes texts: normed states behind the last layer; or, for networks that see pooled states, the states before the last
   * layers of the encoders side by side, and the last one's pooled states, of the first of several evaluations.
   */
  async encode(texts: readonly PromptText[], skippedLayers: number): Promise<EncodedPrompt[]> {
    const [first, second] = this.#parts;
    if (first === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a pipeline has no text encoder');
    if (!this.#isPooled) {
      const encoded = await encodedBy(first, texts, { skippedLayers, normed: true });
      return encoded.map((each) => ({ ...each, pooled: null }));
    }
    const options = { skippedLayers: skippedLayers + 1, normed: false };
    const one = await encodedBy(first, texts, options);
    if (second === undefined) return one;
    const two = await encodedBy(second, texts, options);
    return two.map(({ hidden, pooled, truncated }, i) => {
      const left = at(one, i);
      const rows = hidden.length / second.encoder.width;
      return { hidden: beside(left.hidden, hidden, rows), pooled, truncated: truncated || left.truncated };
    });
  }

  /** Frees the weights, which the next text loads anew. */
  async release(): Promise<void> {
    for (const { encoder } of this.#parts) await encoder.release();
  }

  async close(): Promise<void> {
    for (const { encoder } of this.#parts) await encoder.close();
  }
}

function encoderOn(device: Device, read: ReadTextEncoder): ClipTextEncoder {
  return ClipTextEncoder.on({ device, isOwn: false }, read);
}

/** Ids of a text's evaluations, one after the other. */
function idsOf({ tokenizer }: Part, { text, chunks }: PromptText): { ids: Int32Array[]; truncated: boolean } {
  const tokenized = tokenizer.tokenize(text);
  if (chunks === null) return { ids: [tokenized.padded], truncated: tokenized.truncated };
  const missing = Math.max(0, chunks - tokenized.chunks.length);
  const empty = missing === 0 ? [] : new Array<Int32Array>(missing).fill(tokenizer.tokenize('').padded);
  return { ids: [...tokenized.chunks, ...empty], truncated: false };
}

async function encodedBy(
  part: Part,
  texts: readonly PromptText[],
  options: { skippedLayers: number; normed: boolean },
): Promise<{ hidden: Float32Array; pooled: Float32Array; truncated: boolean }[]> {
  const { encoder } = part;
  const { tokens, width, pooledWidth } = encoder;
  const all = texts.map((text) => idsOf(part, text));
  const rows = all.flatMap(({ ids }) => ids);
  const hidden = new Float32Array(rows.length * tokens * width);
  const pooled = new Float32Array(rows.length * pooledWidth);
  for (let first = 0; first < rows.length; first += MOST_AT_ONCE) {
    const some = rows.slice(first, first + MOST_AT_ONCE);
    const ids = new Int32Array(some.length * tokens);
    for (const [i, row] of some.entries()) ids.set(row, i * tokens);
    const states = await encoder.encode(ids, options);
    hidden.set(states.hidden, first * tokens * width);
    pooled.set(states.pooled, first * pooledWidth);
  }
  let row = 0;
  return all.map(({ ids, truncated }) => {
    const first = row;
    row += ids.length;
    return {
      hidden: hidden.slice(first * tokens * width, row * tokens * width),
      pooled: pooled.slice(first * pooledWidth, (first + 1) * pooledWidth),
      truncated,
    };
  });
}
