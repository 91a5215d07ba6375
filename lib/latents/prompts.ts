import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { Device } from '../engine/device.js';
import type { ClipTokenizer, TokenizedText } from '../text/tokenizer.js';
import type { EncoderSource } from './pipeline-source.js';
import { ClipTextEncoder, type EncodedText } from './text-encoder.js';

/** What a pipeline's network sees of texts. */
export interface EncodedPrompt {
  /** States of the tokens, [N, tokens, width]. */
  readonly hidden: Float32Array;
  /** Pooled states, [N, width], where the network sees them; null: it does not. */
  readonly pooled: Float32Array | null;
  /** True for each text of which tokens were left out. */
  readonly truncated: readonly boolean[];
}

interface Part {
  readonly tokenizer: ClipTokenizer;
  readonly encoder: ClipTextEncoder;
}

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

  private constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  static async load(
    encoders: readonly EncoderSource[],
    device: Device,
    signal: AbortSignal | undefined,
  ): Promise<PromptEncoders> {
    const parts: Part[] = [];
    for (const { read, tokenizer } of encoders) {
      throwIfAborted(signal);
      parts.push({
        tokenizer: await tokenizer(),
        encoder: ClipTextEncoder.on({ device, isOwn: false }, await read()),
      });
    }
    return new PromptEncoders(parts);
  }

  tokenize(text: string): TokenizedText {
    return at(this.#parts, 0).tokenizer.tokenize(text);
  }

  /**
   * Encodes texts: by one encoder its normed states behind the last layer, by two the states before their last layers side
   * by side, and the second one's pooled states.
   */
  async encode(texts: readonly string[], skippedLayers: number): Promise<EncodedPrompt> {
    const [first, second] = this.#parts;
    if (first === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a pipeline has no text encoder');
    if (second === undefined) {
      const { states, truncated } = await encodedBy(first, texts, { skippedLayers, normed: true });
      return { hidden: states.hidden, pooled: null, truncated };
    }
    const options = { skippedLayers: skippedLayers + 1, normed: false };
    const [one, two] = [await encodedBy(first, texts, options), await encodedBy(second, texts, options)];
    const rows = texts.length * first.encoder.tokens;
    return {
      hidden: beside(one.states.hidden, two.states.hidden, rows),
      pooled: two.states.pooled,
      truncated: one.truncated.map((each, i) => each || at(two.truncated, i)),
    };
  }

  async close(): Promise<void> {
    for (const { encoder } of this.#parts) await encoder.close();
  }
}

/** Copies row `rows[k]` of a matrix to row k of the result. */
function gathered(data: Float32Array, rows: readonly number[], width: number): Float32Array {
  const result = new Float32Array(rows.length * width);
  for (const [k, row] of rows.entries()) result.set(data.subarray(row * width, (row + 1) * width), k * width);
  return result;
}

/** Encodes texts, of which equal ones are encoded once. */
async function encodedBy(
  { tokenizer, encoder }: Part,
  texts: readonly string[],
  options: { skippedLayers: number; normed: boolean },
): Promise<{ states: EncodedText; truncated: boolean[] }> {
  const rowOf = new Map<string, number>();
  const rows = texts.map((text) => {
    const row = rowOf.get(text) ?? rowOf.size;
    rowOf.set(text, row);
    return row;
  });
  const distinct = [...rowOf.keys()];
  const tokenized = distinct.map((text) => tokenizer.tokenize(text));
  const ids = new Int32Array(distinct.length * encoder.tokens);
  for (const [i, { padded }] of tokenized.entries()) ids.set(padded, i * encoder.tokens);
  const { hidden, pooled } = await encoder.encode(ids, options);
  return {
    states: {
      hidden: gathered(hidden, rows, encoder.tokens * encoder.width),
      pooled: gathered(pooled, rows, encoder.pooledWidth),
    },
    truncated: rows.map((row) => at(tokenized, row).truncated),
  };
}
