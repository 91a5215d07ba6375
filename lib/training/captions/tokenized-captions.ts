import { createHash } from 'node:crypto';

import { learnVocabulary, vocabularyFiles, type VocabularyFiles } from '../../text/learn-vocabulary.js';
import { ClipTokenizer, type TokenizedText } from '../../text/tokenizer.js';
import { vocabularyOf } from '../../text/vocabulary.js';
import type { ImageTexts } from './given-captions.js';

/** Most texts that stand for all, in samples of a run. */
const MOST_EXAMPLES = 64;

/** Texts of images as a network learns them. */
export interface TokenizedCaptions {
  /** Ids of the tokens of all texts, [texts, tokens]. */
  readonly tokens: Int32Array;
  /** Texts of the images: image i has those from number i to before number i + 1. */
  readonly firstTexts: Uint32Array;
  /** Ids of the empty text, which takes the place of dropped ones. */
  readonly nullTokens: Int32Array;
  /** First texts of up to 64 images, evenly among them. */
  readonly examples: readonly string[];
  /** Number of texts that were cut off, as they have more tokens than there is room for. */
  readonly truncated: number;
  /** Hash of all ids and of whose they are, in hexadecimal. */
  readonly fingerprint: string;
}

/** A tokenizer, and the texts of the files that its folder has. */
export interface LearnedTokenizer {
  readonly tokenizer: ClipTokenizer;
  readonly files: VocabularyFiles;
}

/** Learns a tokenizer of at most `size` tokens from texts, which divides texts into `length` ids. */
export function learnedTokenizer(
  texts: ImageTexts,
  { size, length }: { size: number; length: number },
): LearnedTokenizer {
  const learned = learnVocabulary(texts.flat(), { size });
  const merges = learned.merges.map((merge) => merge.split(' ') as [string, string]);
  return {
    tokenizer: ClipTokenizer.of(vocabularyOf(merges), length),
    files: vocabularyFiles(learned, length),
  };
}

/** Divides the texts of images into tokens; the same text is divided once. */
export function tokenizedCaptions(texts: ImageTexts, tokenizer: ClipTokenizer): TokenizedCaptions {
  const count = texts.reduce((sum, own) => sum + own.length, 0);
  const tokens = new Int32Array(count * tokenizer.length);
  const firstTexts = new Uint32Array(texts.length + 1);
  const known = new Map<string, Pick<TokenizedText, 'padded' | 'truncated'>>();
  let [place, truncated] = [0, 0];
  for (const [image, own] of texts.entries()) {
    for (const text of own) {
      const divided = known.get(text) ?? tokenizer.tokenize(text);
      known.set(text, divided);
      tokens.set(divided.padded, place++ * tokenizer.length);
      if (divided.truncated) ++truncated;
    }
    firstTexts[image + 1] = place;
  }
  const hash = createHash('sha256').update(new Uint8Array(tokens.buffer)).update(new Uint8Array(firstTexts.buffer));
  const nullTokens = tokenizer.tokenize('').padded;
  return { tokens, firstTexts, nullTokens, examples: examplesOf(texts), truncated, fingerprint: hash.digest('hex') };
}

function examplesOf(texts: ImageTexts): string[] {
  const count = Math.min(texts.length, MOST_EXAMPLES);
  return Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)]?.[0] ?? '');
}
