import { gunzipSync } from 'node:zlib';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { DpmError } from '../base/errors.js';
import { isJsonObject } from '../files/config-reader.js';
import { readJson, readText } from '../files/files.js';

/** Words of a language model's alphabet: its tokens by their ids, and which pairs become one, the first ones first. */
export interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [left: string, right: string])[];
}

/** Tokens before and after a text. */
export const [START, END] = ['<|startoftext|>', '<|endoftext|>'];

/** Mark of a token that ends a word. */
export const WORD_END = '</w>';

/** Most bytes of a file of merges; CLIP's has 525 KB. */
const MOST_MERGE_BYTES = 16 * 2 ** 20;

const bundledMerges = fileURLToPath(new URL('../../models/clip-bpe/merges.txt.gz', import.meta.url));

/** The characters that stand for the bytes 0 to 255 (GPT-2's alphabet), in the order in which CLIP's vocabulary begins. */
function byteCharacters(): string[] {
  const between = (first: string, last: string): number[] => {
    const [low, high] = [first.charCodeAt(0), last.charCodeAt(0)];
    return Array.from({ length: high - low + 1 }, (_, i) => low + i);
  };
  const printed = [...between('!', '~'), ...between('\u00a1', '\u00ac'), ...between('\u00ae', '\u00ff')];
  const others = Array.from({ length: 256 - printed.length }, (_, i) => 256 + i);
  return [...printed, ...others].map((code) => String.fromCharCode(code));
}

function parseMerges(source: string, text: string): [string, string][] {
  const merges: [string, string][] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || (index === 0 && line.startsWith('#version'))) continue;
    const [left = '', right = '', ...others] = line.replace(/\r$/, '').split(' ');
    if (left === '' || right === '' || others.length > 0) {
      throw new DpmError('ERR_DPM_CONFIG', `${source}: line ${index + 1} is not two tokens`);
    }
    merges.push([left, right]);
  }
  return merges;
}

/** Refuses merges of tokens that are none, or that make none. */
function requireMerges(source: string, { ids, merges }: Vocabulary): void {
  for (const [left, right] of merges) {
    const missing = [left, right, left + right].find((token) => !ids.has(token));
    if (missing === undefined) continue;
    const shown = missing.slice(0, 80);
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${source}: the merge of '${left.slice(0, 80)}' and '${right.slice(0, 80)}' needs the token '${shown}', which the vocabulary lacks`,
    );
  }
}

/** Refuses ids that are not 0, 1, 2, …, each once. */
function checkedIds(source: string, json: Record<string, unknown>): Map<string, number> {
  const entries = Object.entries(json);
  const tokens = new Array<string | undefined>(entries.length);
  const ids = new Map<string, number>();
  for (const [token, id] of entries) {
    const shown = token.slice(0, 80);
    if (!Number.isInteger(id) || Number(id) < 0 || Number(id) >= entries.length) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${source}: the id of '${shown}' is no integer from 0 to ${entries.length - 1}`,
      );
    }
    const other = tokens[Number(id)];
    if (other !== undefined) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${source}: '${other.slice(0, 80)}' and '${shown}' have one id, ${Number(id)}`,
      );
    }
    tokens[Number(id)] = token;
    ids.set(token, Number(id));
  }
  return ids;
}

/**
 * Reads the vocabulary of a folder: `vocab.json` and `merges.txt`.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` or `ERR_DPM_CONFIG` naming the file and what is wrong with it.
 */
export async function readVocabulary(folder: string): Promise<Vocabulary> {
  const [vocabulary, mergesPath] = [join(folder, 'vocab.json'), join(folder, 'merges.txt')];
  const json = await readJson(vocabulary);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${vocabulary} is not a JSON object`);
  const ids = checkedIds(vocabulary, json);
  for (const token of [START, END]) {
    if (!ids.has(token)) throw new DpmError('ERR_DPM_CONFIG', `${vocabulary} has no token ${token}`);
  }
  const found = { ids, merges: parseMerges(mergesPath, await readText(mergesPath, MOST_MERGE_BYTES)) };
  requireMerges(mergesPath, found);
  return found;
}

/** Makes the vocabulary that follows from merges: bytes, bytes that end words, merges, start and end. */
export function vocabularyOf(merges: Vocabulary['merges']): Vocabulary {
  const bytes = byteCharacters();
  const tokens = [
    ...bytes,
    ...bytes.map((byte) => byte + WORD_END),
    ...merges.map((pair) => pair.join('')),
    START,
    END,
  ];
  return { ids: new Map(tokens.map((token, id) => [token, id])), merges };
}

/** Reads the vocabulary of CLIP, which this package brings. */
export async function clipVocabulary(): Promise<Vocabulary> {
  const text = gunzipSync(await readFile(bundledMerges), { maxOutputLength: MOST_MERGE_BYTES }).toString('utf8');
  return vocabularyOf(parseMerges(bundledMerges, text));
}
