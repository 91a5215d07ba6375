import { join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { isThere } from '../files/files.js';
import { ClipTokenizer } from '../text/tokenizer.js';
import type { Command } from './command.js';
import { printJson, printLine, printTable } from './output.js';

/** The tokenizer that this package brings. */
const bundled = 'clip';

/** Finds the tokenizers of a pipeline's folder, or the one that a folder is. */
async function tokenizersOf(path: string): Promise<[name: string, tokenizer: ClipTokenizer][]> {
  const found: [string, ClipTokenizer][] = [];
  for (const name of ['tokenizer', 'tokenizer_2']) {
    const folder = join(path, name);
    if (await isThere(folder)) found.push([name, await ClipTokenizer.load(folder)]);
  }
  if (found.length > 0) return found;
  if (await isThere(join(path, 'vocab.json'))) return [['tokenizer', await ClipTokenizer.load(path)]];
  if (path === bundled) return [[bundled, await ClipTokenizer.clip()]];
  throw new DpmError(
    'ERR_DPM_FILE',
    `${path} has neither tokenizer/ nor vocab.json; ${bundled} is the one of this package`,
  );
}

export const tokensCommand: Command = {
  name: 'tokens',
  summary: 'Tokens of a text as text encoders take them: ids, pieces, chunks.',
  arguments: ['MODEL', 'TEXT'],
  options: {},
  async run({ positionals: [model = '', text = ''], json }) {
    const tokenizers = await tokenizersOf(model);
    const results = tokenizers.map(([name, tokenizer]) => {
      const { ids, pieces, truncated, chunks } = tokenizer.tokenize(text);
      return {
        name,
        ids,
        pieces,
        truncated,
        chunks: chunks.map((chunk) => Array.from(chunk)),
        length: tokenizer.length,
      };
    });
    if (json) {
      printJson(results);
      return;
    }
    for (const { name, ids, pieces, truncated, chunks, length } of results) {
      const more = truncated ? `, more than the ${length - 2} that one evaluation takes: ${chunks.length} chunks` : '';
      printLine(`${name}: ${ids.length} tokens${more}`);
      printTable(ids.map((id, i) => ['', String(id), pieces[i] ?? '']));
    }
  },
};
