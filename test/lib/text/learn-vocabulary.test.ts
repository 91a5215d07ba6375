// Vocabularies learned from texts, and their files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ClipTokenizer, DpmError } from '../../../lib/index.js';
import {
  learnVocabulary,
  vocabularyFiles,
  type LearnedVocabulary,
  type LearnVocabularyOptions,
} from '../../../lib/text/learn-vocabulary.js';
import { clipVocabulary } from '../../../lib/text/vocabulary.js';
import { temporaryFolder } from '../../support/temporary.js';

const root = temporaryFolder();
let places = 0;

function written(learned: LearnedVocabulary, tokens = 16): string {
  const folder = join(root, String(places++));
  mkdirSync(folder);
  const files: Record<string, string> = { ...vocabularyFiles(learned, tokens) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** The example of the paper: 5 times low, 2 lower, 6 newest, 3 widest. */
const paper = [
  'low low low low low',
  'lower lower',
  'newest newest newest newest newest newest',
  'widest widest widest',
];
const captions = [
  'a red cat',
  'a red cat on pink',
  'the cat left of a tree',
  'noto style, red tree',
  'flat style: café',
];

function refusal(work: () => unknown): DpmError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(DpmError);
    return error as DpmError;
  }
  throw new Error('nothing was refused');
}

describe('merges', () => {
  it('are those that a hand counts', () => {
    // By count: "e s" and "s t</w>" 9 each, the first in order; then "es t</w>" 9. "l o" 7, and "lo w</w>" 5 after it: of the
    // pairs of newest, all 6, "e w" is first; of what remains 6, "ew est</w>", then "n ewest</w>". Then "lo w</w>" 5, the
    // three of widest, 3 each, and lower, 2.
    expect(learnVocabulary(paper, { size: 1000 }).merges).toEqual([
      'e s',
      'es t</w>',
      'l o',
      'e w',
      'ew est</w>',
      'n ewest</w>',
      'lo w</w>',
      'd est</w>',
      'i dest</w>',
      'w idest</w>',
      'e r</w>',
      'lo w',
      'low er</w>',
    ]);
  });

  it('end where no pair is there twice, or where the size is reached', () => {
    expect(learnVocabulary(['abc'], { size: 600 }).merges).toEqual([]);
    expect(learnVocabulary([], { size: 600 }).vocabulary.size).toBe(514);
    expect(learnVocabulary(['abc abc'], { size: 600 }).merges).toEqual(['a b', 'ab c</w>']);
    expect(learnVocabulary(['abc abc'], { size: 515 }).merges).toEqual(['a b']);
    expect(learnVocabulary(['abc abc'], { size: 514 }).merges).toEqual([]);
  });

  it('join from the left, and symbols that follow themselves count at each place', () => {
    expect(learnVocabulary(['aaaaab'], { size: 600 }).merges).toEqual(['a a']);
    expect(learnVocabulary(['aaaaab aaaaab'], { size: 517 }).merges).toEqual(['a a', 'a b</w>', 'aa aa']);
  });

  it('do not depend on the order of the texts', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', ' ', '1', '!'), maxLength: 12 });
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (texts) => {
        const { merges, vocabulary } = learnVocabulary(texts, { size: 600 });
        expect(learnVocabulary(texts.toReversed(), { size: 600 }).merges).toEqual(merges);
        expect(learnVocabulary([texts.join(' ')], { size: 600 }).merges).toEqual(merges);
        expect(vocabulary.size).toBe(514 + merges.length);
      }),
    );
  });

  it('are made of lower-case words in which no space, number or mark is beside a letter', () => {
    const plain = learnVocabulary(['ÉTÉ été cat2cat cat-cat'], { size: 600 });
    expect(plain.merges).toEqual(learnVocabulary(['été  e\u0301te\u0301\ncat 2 CAT cat - cat'], { size: 600 }).merges);
    expect(plain.merges).toEqual(['a t</w>', 'c at</w>', 't Ã', 'tÃ ©</w>', '© tÃ©</w>', 'Ã ©tÃ©</w>']);
    expect(learnVocabulary(['<|startoftext|><|startoftext|> <|endoftext|>'], { size: 600 }).merges).toEqual([]);
    expect(learnVocabulary(['<|endoftext|>a <|endoftext|>a'], { size: 600 }).merges).toEqual([]);
  });
});

describe('a vocabulary', () => {
  it("has CLIP's layout", async () => {
    const { vocabulary, merges } = learnVocabulary(paper, { size: 517 });
    expect([...vocabulary.values()]).toEqual(Array.from({ length: 517 }, (_, i) => i));
    const bytes = [...(await clipVocabulary()).ids].slice(0, 512);
    expect([...vocabulary].slice(0, 512)).toEqual(bytes);
    expect(merges).toEqual(['e s', 'es t</w>', 'l o']);
    expect([...vocabulary].slice(512)).toEqual([
      ['es', 512],
      ['est</w>', 513],
      ['lo', 514],
      ['<|startoftext|>', 515],
      ['<|endoftext|>', 516],
    ]);
  });

  it.each([513, 2 ** 20 + 1, 0, -1, 600.5, NaN, '600', null, undefined])('of size %s is refused', (size) => {
    const error = refusal(() => learnVocabulary(['a'], { size } as LearnVocabularyOptions));
    expect([error.code, error.message]).toEqual(['ERR_DPM_ARGUMENT', expect.stringMatching(/^size is .* 514 to/)]);
  });

  it('is learned from texts alone', () => {
    const other = { size: 600, sise: 600 } as LearnVocabularyOptions;
    expect(refusal(() => learnVocabulary(['a'], other)).message).toContain('sise');
    for (const text of [null, 3, 'a'.repeat(65_537), '\ud800']) {
      expect(refusal(() => learnVocabulary([text as string], { size: 600 })).code).toBe('ERR_DPM_ARGUMENT');
    }
  });
});

describe('files', () => {
  it('are those that the tokenizer reads', async () => {
    const learned = learnVocabulary(captions, { size: 600 });
    const tokenizer = await ClipTokenizer.load(written(learned, 12));
    expect([tokenizer.length, tokenizer.vocabulary]).toEqual([12, learned.vocabulary.size]);
    const { pieces, ids, padded } = tokenizer.tokenize('A red CAT');
    expect(pieces).toEqual(['a</w>', 'red</w>', 'cat</w>']);
    expect(ids).toEqual(pieces.map((piece) => learned.vocabulary.get(piece)));
    const [start, end] = [learned.vocabulary.size - 2, learned.vocabulary.size - 1];
    expect([...padded]).toEqual([start, ...ids, end, ...new Array<number>(7).fill(end)]);
  });

  it('fall back to bytes for words that were not learned', async () => {
    const tokenizer = await ClipTokenizer.load(written(learnVocabulary(captions, { size: 600 })));
    expect(tokenizer.tokenize('xyz').pieces).toEqual(['x', 'y', 'z</w>']);
    expect(tokenizer.tokenize('猫').pieces).toEqual(['ç', 'Į', '«</w>']);
  });

  it('give each word of many texts one token if there is room', async () => {
    const tokenizer = await ClipTokenizer.load(written(learnVocabulary([...captions, ...captions], { size: 1000 })));
    for (const text of captions)
      expect(tokenizer.tokenize(text).pieces.every((piece) => piece.endsWith('</w>'))).toBe(true);
  });

  it('hold what transformers writes, and refuse a length that is none', () => {
    const learned = learnVocabulary(paper, { size: 600 });
    const files = vocabularyFiles(learned, 24);
    expect(Object.keys(files)).toEqual([
      'vocab.json',
      'merges.txt',
      'special_tokens_map.json',
      'tokenizer_config.json',
    ]);
    expect(files['merges.txt'].split('\n').slice(0, 3)).toEqual(['#version: 0.2', 'e s', 'es t</w>']);
    expect(files['merges.txt'].endsWith('er</w>\n')).toBe(true);
    expect(JSON.parse(files['vocab.json'])).toEqual(Object.fromEntries(learned.vocabulary));
    expect(JSON.parse(files['special_tokens_map.json'])).toMatchObject({
      bos_token: { content: '<|startoftext|>', normalized: true },
      eos_token: { content: '<|endoftext|>' },
      unk_token: { content: '<|endoftext|>' },
      pad_token: '<|endoftext|>',
    });
    expect(JSON.parse(files['tokenizer_config.json'])).toMatchObject({
      tokenizer_class: 'CLIPTokenizer',
      model_max_length: 24,
      pad_token: '<|endoftext|>',
    });
    for (const tokens of [2, 4097, 7.5])
      expect(refusal(() => vocabularyFiles(learned, tokens)).code).toBe('ERR_DPM_ARGUMENT');
  });
});
