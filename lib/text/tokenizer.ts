import { join } from 'node:path';

import { Tokenizer } from '@huggingface/tokenizers';

import { DpmError } from '../base/errors.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { isThere, readJson } from '../files/files.js';
import { pathOf } from '../files/paths.js';
import { clipVocabulary, END, readVocabulary, START, WORD_END, type Vocabulary } from './vocabulary.js';

/** A text as text encoders take it. */
export interface TokenizedText {
  /** Ids of all its tokens, without those of start and end. */
  readonly ids: readonly number[];
  /** The tokens themselves; `</w>` ends a word. */
  readonly pieces: readonly string[];
  /** Ids of one evaluation: start, the tokens that have room, end, and padding. */
  readonly padded: Int32Array;
  /** True if tokens were left out of `padded`. */
  readonly truncated: boolean;
  /**
   * Ids of as many evaluations as hold all tokens, each with its own start and end; words are not divided where they have
   * room in one.
   */
  readonly chunks: readonly Int32Array[];
}

/** A token beside those of the vocabulary, for as many embeddings. */
export interface AddedToken {
  /** What stands for it in texts, whatever its case. */
  readonly token: string;
  /** Its first id, which `count` - 1 more follow. */
  readonly first: number;
  readonly count: number;
}

/** Most characters of a text: a thousand times what an encoder reads at once. */
const MOST_CHARACTERS = 65_536;

/** Texts between spaces, as CLIP's authors divide them. */
const pattern = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** What a tokenizer's configuration says. */
interface Settings {
  /** Token behind the end, which is a token wherever a text has it, too. */
  readonly padding: string;
  /** Number of ids of one evaluation. */
  readonly length: number;
}

/** Lengths that a tokenizer may have: start, end and one token, up to fifty times CLIP's. */
export const lengthRange = { least: 3, most: 4096 };

const clipSettings: Settings = { padding: END, length: 77 };

/** Text of a token in a configuration: a string, or an object with its content. */
function contentOf(value: unknown): unknown {
  return isJsonObject(value) ? value.content : value;
}

async function readSettings(folder: string): Promise<Settings> {
  const path = join(folder, 'tokenizer_config.json');
  if (!(await isThere(path))) return clipSettings;
  const json = await readJson(path);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not a JSON object`);
  const config = new ConfigReader(json, path);
  const padding = contentOf(json.pad_token ?? END);
  if (typeof padding !== 'string' || padding === '') throw config.error('pad_token', 'a token');
  return { padding, length: config.integer('model_max_length', clipSettings.length, lengthRange) };
}

/** The object of `tokenizer.json` that says what CLIP's tokenizer does, but for its lower case. */
function tokenizerJson({ ids, merges }: Vocabulary, special: readonly string[]): object {
  const added = special.map((content) => ({
    id: ids.get(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const token = (content: string): [string, number | undefined] => [content, ids.get(content)];
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' }],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pattern }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    decoder: null,
    post_processor: {
      type: 'RobertaProcessing',
      sep: token(END),
      cls: token(START),
      trim_offsets: false,
      add_prefix_space: false,
    },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(ids),
      merges,
      unk_token: END,
      continuing_subword_prefix: '',
      end_of_word_suffix: WORD_END,
      fuse_unk: false,
    },
  };
}

/** Tells what a text has that no tokenizer takes; null: nothing. @internal */
export function problemOfText(text: string): string | null {
  if (text.length > MOST_CHARACTERS) return `has ${text.length} characters, at most ${MOST_CHARACTERS} are read`;
  return /\p{Surrogate}/u.test(text) ? 'holds half of a surrogate pair, which is no character' : null;
}

/** Tells why a text is no token that can be added; null: it is one. @internal */
export function problemOfToken(token: string): string | null {
  if (!/^\S{1,200}$/u.test(token)) return 'has to have 1 to 200 characters and no spaces';
  if (/^<\|(start|end)oftext\|>$/i.test(token)) return 'begins or ends a text';
  return problemOfText(token);
}

/** Lower case code point by code point: that of a whole text changes a sigma at the end of a word. @internal */
export function lowerCase(text: string): string {
  return Array.from(text.normalize('NFC'), (character) => character.toLowerCase()).join('');
}

/** Words of tokens: each ends with the token that is marked so. */
function wordsOf(pieces: readonly string[]): number[] {
  const lengths: number[] = [];
  let length = 0;
  for (const piece of pieces) {
    ++length;
    if (!piece.endsWith(WORD_END)) continue;
    lengths.push(length);
    length = 0;
  }
  return length > 0 ? [...lengths, length] : lengths;
}

/** Pattern of added tokens, the longest first: one that ends in a letter or digit is a whole word there. */
function patternOf(tokens: readonly AddedToken[]): RegExp {
  const whole = tokens
    .map(({ token }) => token)
    .sort((a, b) => b.length - a.length)
    .map((token) => {
      const escaped = token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
      const [before, behind] = [/^[\p{L}\p{N}]/u.test(token), /[\p{L}\p{N}]$/u.test(token)];
      return `${before ? '(?<![\\p{L}\\p{N}])' : ''}${escaped}${behind ? '(?![\\p{L}\\p{N}])' : ''}`;
    });
  return new RegExp(`(${whole.join('|')})`, 'u');
}

/** What is used of the library's class, whose own declarations name files in a way that TypeScript does not find here. */
interface BytePairs {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
}
const BytePairTokenizer = Tokenizer as unknown as new (json: object, config: object) => BytePairs;

/** What tokenizers of one vocabulary have in common. */
interface Parts {
  readonly pairs: BytePairs;
  /** Ids of the tokens that begin, end and fill up an evaluation's ids. */
  readonly start: number;
  readonly end: number;
  readonly padding: number;
  readonly length: number;
  /** Number of tokens. */
  readonly vocabulary: number;
}

function partsOf(vocabulary: Vocabulary, { padding, length }: Settings, source: string): Parts {
  const { ids } = vocabulary;
  const idOf = (token: string): number => {
    const id = ids.get(token);
    if (id === undefined) throw new DpmError('ERR_DPM_CONFIG', `${source} has no token '${token.slice(0, 80)}'`);
    return id;
  };
  return {
    start: idOf(START),
    end: idOf(END),
    padding: idOf(padding),
    length,
    vocabulary: ids.size,
    pairs: new BytePairTokenizer(tokenizerJson(vocabulary, [...new Set([START, END, padding])]), {}),
  };
}

/** Makes a tokenizer with more tokens, of which none has a problem. @internal */
export let withTokens: (tokenizer: ClipTokenizer, tokens: readonly AddedToken[]) => ClipTokenizer;

/** Tokenizer of CLIP's text encoders (Radford et al. 2021): byte pairs of lower-case words. */
export class ClipTokenizer {
  static {
    withTokens = (tokenizer, tokens) => tokenizer.#with(tokens);
  }

  readonly #parts: Parts;
  readonly #added: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | null;
  /** Number of ids of one evaluation of the text encoder, those of start and end included. */
  readonly length: number;
  /** Number of tokens that it knows. */
  readonly vocabulary: number;

  private constructor(parts: Parts, added: ReadonlyMap<string, AddedToken> = new Map()) {
    this.#parts = parts;
    this.#added = added;
    this.#pattern = added.size === 0 ? null : patternOf([...added.values()]);
    this.length = parts.length;
    this.vocabulary = parts.vocabulary + [...added.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * Reads a tokenizer of a folder with `vocab.json`, `merges.txt` and, where there is one, `tokenizer_config.json`.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` or `ERR_DPM_CONFIG` naming the file and the token or field that is wrong.
   */
  static async load(path: string | URL): Promise<ClipTokenizer> {
    const folder = pathOf('the tokenizer', path);
    return new ClipTokenizer(partsOf(await readVocabulary(folder), await readSettings(folder), folder));
  }

  /**
   * Makes CLIP's tokenizer for an encoder of a file that has none.
   *
   * @param padding - Token behind the end.
   * @internal
   */
  static async padded(padding: string): Promise<ClipTokenizer> {
    return new ClipTokenizer(partsOf(await clipVocabulary(), { ...clipSettings, padding }, 'CLIP'));
  }

  /**
   * Makes the tokenizer of a vocabulary, with CLIP's padding.
   *
   * @param length - Number of ids of one evaluation. Default 77.
   * @internal
   */
  static of(vocabulary: Vocabulary, length = clipSettings.length): ClipTokenizer {
    return new ClipTokenizer(partsOf(vocabulary, { ...clipSettings, length }, 'the vocabulary'));
  }

  #with(tokens: readonly AddedToken[]): ClipTokenizer {
    const added = tokens.map((each) => ({ ...each, token: lowerCase(each.token) }));
    return new ClipTokenizer(
      this.#parts,
      new Map([...this.#added, ...added.map((each) => [each.token, each] as const)]),
    );
  }

  /** Makes CLIP's own tokenizer, whose vocabulary this package brings. */
  static async clip(): Promise<ClipTokenizer> {
    return new ClipTokenizer(partsOf(await clipVocabulary(), clipSettings, 'CLIP'));
  }

  /**
   * Divides a text into tokens, as the original does.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a text of more than 65,536 characters, or with half of a surrogate pair.
   */
  tokenize(text: string): TokenizedText {
    requireKind('the text', text, kinds.string);
    const problem = problemOfText(text);
    if (problem !== null) throw new DpmError('ERR_DPM_ARGUMENT', `the text ${problem}`);
    const { ids, tokens } = this.#encode(lowerCase(text));
    const room = this.length - 2;
    return {
      ids,
      pieces: tokens,
      padded: this.#chunk(ids.slice(0, room)),
      truncated: ids.length > room,
      chunks: this.#chunks(ids, wordsOf(tokens)),
    };
  }

  #encode(text: string): { ids: number[]; tokens: string[] } {
    const { pairs } = this.#parts;
    const parts = (this.#pattern === null ? [text] : text.split(this.#pattern)).map((part) => {
      const added = this.#added.get(part);
      if (added === undefined) return pairs.encode(part, { add_special_tokens: false });
      const { token, first, count } = added;
      const ids = Array.from({ length: count }, (_, i) => first + i);
      return { ids, tokens: ids.map((_, i) => (i === count - 1 ? `${token}${WORD_END}` : token)) };
    });
    return { ids: parts.flatMap(({ ids }) => ids), tokens: parts.flatMap(({ tokens }) => tokens) };
  }

  #chunk(ids: readonly number[]): Int32Array {
    const { start, end, padding } = this.#parts;
    const chunk = new Int32Array(this.length).fill(padding);
    chunk.set([start, ...ids, end]);
    return chunk;
  }

  #chunks(ids: readonly number[], words: readonly number[]): Int32Array[] {
    const room = this.length - 2;
    const chunks: Int32Array[] = [];
    let [first, end] = [0, 0];
    const close = (): void => {
      for (; first < end; first += room) chunks.push(this.#chunk(ids.slice(first, Math.min(end, first + room))));
      first = end;
    };
    for (const length of words) {
      if (end + length - first > room) close();
      end += length;
    }
    close();
    return chunks.length > 0 ? chunks : [this.#chunk([])];
  }
}
