import { checkOptions, integerBetween, requireKind, type OptionKinds } from '../base/option-kinds.js';
import { PairCounts, type CountedWord } from './pair-counts.js';
import { ClipTokenizer, lengthRange } from './tokenizer.js';
import { END, START, vocabularyOf, WORD_END } from './vocabulary.js';

/** Tokens of a vocabulary without merges: 256 bytes, as many that end words, start and end. */
const LEAST_SIZE = 514;

/** Most tokens of a vocabulary, twenty times what CLIP has. */
const MOST_SIZE = 2 ** 20;

/** Least number of places of two symbols that become one: what is there once tells nothing about other texts. */
const LEAST_COUNT = 2;

/** Options of {@link learnVocabulary}. */
export interface LearnVocabularyOptions {
  /** Most tokens that the vocabulary may have, all included: from 514, which are bytes alone. */
  readonly size: number;
}

const optionKinds: OptionKinds<LearnVocabularyOptions> = { size: integerBetween(LEAST_SIZE, MOST_SIZE) };

/** A vocabulary in the layout of CLIP's. */
export interface LearnedVocabulary {
  /** Ids of the tokens: 256 bytes, the same at the end of words, one for each merge, start and end. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of tokens that become one, the first ones first; a space lies between the two. */
  readonly merges: readonly string[];
}

/** Texts of the files of a tokenizer's folder. */
export interface VocabularyFiles {
  readonly 'vocab.json': string;
  readonly 'merges.txt': string;
  readonly 'special_tokens_map.json': string;
  readonly 'tokenizer_config.json': string;
}

/** Counts the words of texts, as a tokenizer without merges divides them: into bytes, the last of which ends its word. */
function countedWords(texts: Iterable<string>): CountedWord[] {
  const tokenizer = ClipTokenizer.of(vocabularyOf([]));
  const counts = new Map<string, number>();
  for (const text of texts) {
    let symbols: string[] = [];
    for (const piece of tokenizer.tokenize(text).pieces) {
      if (piece === START || piece === END) continue;
      symbols.push(piece);
      if (!piece.endsWith(WORD_END)) continue;
      const word = symbols.join(' ');
      counts.set(word, (counts.get(word) ?? 0) + 1);
      symbols = [];
    }
  }
  return Array.from(counts, ([word, count]) => ({ symbols: word.split(' '), count }));
}

/**
 * Learns a vocabulary of byte pairs (Sennrich et al. 2016) from texts, which {@link ClipTokenizer} divides into words. The most
 * frequent pair becomes a token, of equally frequent ones the first in the order of code points: the order of the texts does
 * not matter. A pair that is there once becomes none, so that few texts may give fewer tokens than asked for.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a size that is too small or too large, or a text that the tokenizer refuses.
 */
export function learnVocabulary(texts: Iterable<string>, options: LearnVocabularyOptions): LearnedVocabulary {
  checkOptions('learnVocabulary', options, optionKinds);
  requireKind('size', options.size, optionKinds.size);
  const counts = new PairCounts(countedWords(texts));
  const merges: [left: string, right: string][] = [];
  while (merges.length < options.size - LEAST_SIZE) {
    const merge = counts.mergeNext(LEAST_COUNT);
    if (merge === undefined) break;
    merges.push(merge);
  }
  return { vocabulary: vocabularyOf(merges).ids, merges: merges.map((pair) => pair.join(' ')) };
}

/**
 * Writes a vocabulary as the files of the folder `tokenizer` in a pipeline: as `CLIPTokenizer` of transformers and
 * {@link ClipTokenizer.load} read them.
 *
 * @param tokens - Number of tokens that the text encoder reads at once, those of start and end included.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a number of tokens that no tokenizer takes.
 */
export function vocabularyFiles({ vocabulary, merges }: LearnedVocabulary, tokens: number): VocabularyFiles {
  requireKind('tokens', tokens, integerBetween(lengthRange.least, lengthRange.most));
  // An object would bring tokens that are digits to its front.
  const entries = Array.from(vocabulary, ([token, id]) => `${JSON.stringify(token)}: ${id}`);
  const marked = (content: string): object => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const special = { bos_token: marked(START), eos_token: marked(END), unk_token: marked(END), pad_token: END };
  const config = {
    add_prefix_space: false,
    ...special,
    do_lower_case: true,
    errors: 'replace',
    model_max_length: tokens,
    tokenizer_class: 'CLIPTokenizer',
  };
  const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'vocab.json': `{\n${entries.join(',\n')}\n}\n`,
    'merges.txt': ['#version: 0.2', ...merges, ''].join('\n'),
    'special_tokens_map.json': json(special),
    'tokenizer_config.json': json(config),
  };
}
