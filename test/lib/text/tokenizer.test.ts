// CLIP's tokenizer against the ids that transformers gives.
import { cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ClipTokenizer } from '../../../lib/index.js';
import { problemOfToken, withTokens } from '../../../lib/text/tokenizer.js';
import { vocabularyOf } from '../../../lib/text/vocabulary.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

interface Golden {
  text: string;
  ids: number[];
  padded?: number[];
}

const folder = temporaryFolder();
const fixtures = packagePath('test/fixtures/text');
const goldens = async (name: string): Promise<Golden[]> =>
  JSON.parse(await readFile(join(fixtures, name, 'tokens.json'), 'utf8')) as Golden[];
const tokenizerOf = (name: string): Promise<ClipTokenizer> => ClipTokenizer.load(join(fixtures, name, 'tokenizer'));

describe('tokens', () => {
  it("are those of CLIP's vocabulary", async () => {
    const clip = await ClipTokenizer.clip();
    const cases = await goldens('clip');
    expect(cases.length).toBeGreaterThan(100);
    for (const { text, ids } of cases) expect([49406, ...clip.tokenize(text).ids, 49407], text).toEqual(ids);
  });

  it.each(['sd1', 'sd2'])('and padding are those of %s', async (name) => {
    const tokenizer = await tokenizerOf(name);
    const cases = await goldens(name);
    expect(cases.length).toBeGreaterThan(10);
    for (const { text, ids, padded } of cases) {
      const found = tokenizer.tokenize(text);
      expect([...found.padded], text).toEqual(padded);
      expect(found.truncated).toBe(found.ids.length > 75);
      if (!found.truncated) expect([812, ...found.ids, 813], text).toEqual(ids);
    }
    expect(cases.some(({ text }) => tokenizer.tokenize(text).truncated)).toBe(true);
  });

  it('have a piece each, and words end with a mark', async () => {
    const clip = await ClipTokenizer.clip();
    const { ids, pieces } = clip.tokenize('photograph of a zyzzyva');
    expect(pieces.length).toBe(ids.length);
    expect(pieces.join('').replaceAll('</w>', ' ').trim()).toBe('photograph of a zyzzyva');
  });

  it('of a long text come in chunks that divide no word that has room in one', async () => {
    const clip = await ClipTokenizer.clip();
    const word = clip.tokenize('zyzzyva').ids;
    expect(word.length).toBeGreaterThan(2);
    const text = `${'cat '.repeat(74)}zyzzyva dog`;
    const { ids, chunks, padded, truncated } = clip.tokenize(text);
    expect([truncated, chunks.length, ids.length]).toEqual([true, 2, 75 + word.length]);
    expect([...padded]).toEqual([49406, ...ids.slice(0, 75), 49407]);
    expect([...chunks[0]!]).toEqual([49406, ...ids.slice(0, 74), 49407, 49407]);
    expect([...chunks[1]!].slice(0, word.length + 3)).toEqual([49406, ...word, ...ids.slice(-1), 49407]);
    // A token that ends no word is in them, too.
    expect([...clip.tokenize('a <|startoftext|>').chunks[0]!.slice(0, 4)]).toEqual([49406, 320, 49406, 49407]);
    const full = clip.tokenize('cat '.repeat(75));
    expect([full.truncated, full.chunks]).toEqual([false, [full.padded]]);
    expect(clip.tokenize('').chunks.map((chunk) => [...chunk])).toEqual([
      [49406, ...new Array<number>(76).fill(49407)],
    ]);
  });

  it('are all in the chunks, in order, whatever the text', async () => {
    const clip = await ClipTokenizer.clip();
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const { ids, chunks } = clip.tokenize(text);
        const inside = chunks.flatMap((chunk) => {
          expect([chunk.length, chunk[0]]).toEqual([77, 49406]);
          return [...chunk.slice(1, chunk.indexOf(49407, 1))];
        });
        expect(inside).toEqual(ids.filter((id) => id !== 49407));
      }),
      { numRuns: 200 },
    );
  });

  it('of a text that is none, or too long, are refused, and those of a long one come soon', async () => {
    const clip = await ClipTokenizer.clip();
    for (const text of ['a\ud800b', '\udc00', 'a'.repeat(65_537), 7 as never]) {
      expect(() => clip.tokenize(text)).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }) as Error);
    }
    for (const text of ['a'.repeat(65_536), '!'.repeat(65_536), '\0'.repeat(65_536)]) {
      expect(clip.tokenize(text).ids.length).toBeGreaterThan(1000);
    }
  });
});

describe('a folder of a tokenizer', () => {
  const change = async (file: string, edit: (text: string) => string): Promise<Promise<ClipTokenizer>> => {
    const copy = join(folder, 'copy');
    await rm(copy, { recursive: true, force: true });
    await cp(join(fixtures, 'sd1', 'tokenizer'), copy, { recursive: true });
    await writeFile(join(copy, file), edit(await readFile(join(copy, file), 'utf8')));
    return ClipTokenizer.load(copy);
  };
  const vocabulary = (edit: (json: Record<string, unknown>) => void) => (text: string) => {
    const json = JSON.parse(text) as Record<string, unknown>;
    edit(json);
    return JSON.stringify(json);
  };

  it.each([
    ['a hole', 'vocab.json', vocabulary((json) => delete json.th), /vocab\.json: the id of .* is no integer from 0 to/],
    [
      'ids that collide',
      'vocab.json',
      vocabulary((json) => (json['!'] = 7)),
      /vocab\.json: '!' and '\(' have one id, 7/,
    ],
    ['an id that is a text', 'vocab.json', vocabulary((json) => (json['!'] = '0')), /vocab\.json: the id of '!'/],
    [
      'no start',
      'vocab.json',
      vocabulary((json) => {
        json['<|other|>'] = json['<|startoftext|>'];
        delete json['<|startoftext|>'];
      }),
      /has no token <\|startoftext\|>/,
    ],
    ['no object', 'vocab.json', () => '[]', /vocab\.json is not a JSON object/],
    [
      'a merge of nothing',
      'merges.txt',
      (text: string) => text.replace('i n\n', 'i n\n a\n'),
      /merges\.txt: line 3 is not two tokens/,
    ],
    ['a merge of three', 'merges.txt', (text: string) => text.replace('i n\n', 'i n g\n'), /line 2 is not two tokens/],
    [
      'a merge that makes no token',
      'merges.txt',
      (text: string) => text.replace('i n\n', 'i n\ni \u0100\n'),
      /merges\.txt: the merge of 'i'/,
    ],
    ['a padding that is none', 'tokenizer_config.json', vocabulary((json) => (json.pad_token = 3)), /pad_token/],
    [
      'an unknown padding',
      'tokenizer_config.json',
      vocabulary((json) => (json.pad_token = 'nothing')),
      /has no token 'nothing'/,
    ],
    [
      'a length of nothing',
      'tokenizer_config.json',
      vocabulary((json) => (json.model_max_length = 2)),
      /model_max_length/,
    ],
  ] as const)('is refused with %s', async (_, file, edit, message) => {
    const attempt = change(file, edit);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_DPM_CONFIG' });
  });

  it('has no more merges than any vocabulary', async () => {
    await change('merges.txt', (text) => text);
    const path = join(folder, 'copy', 'merges.txt');
    await truncate(path, 16 * 2 ** 20 + 1);
    await expect(ClipTokenizer.load(join(folder, 'copy'))).rejects.toThrow(
      `${path} has 16777217 bytes, at most 16777216`,
    );
  });

  it('may merge the same twice, and what it has merged with itself', async () => {
    const twice = await change('merges.txt', (text) => `${text}${text.replace(/^#.*\n/, '')}`);
    const once = await tokenizerOf('sd1');
    const text = 'an interesting painting of ships in the thin mist';
    expect(twice.tokenize(text).ids).toEqual(once.tokenize(text).ids);
    const ofWindows = await change('merges.txt', (lines) => lines.replaceAll('\n', '\r\n'));
    expect(ofWindows.tokenize(text).ids).toEqual(once.tokenize(text).ids);
    const own = { aa: 814, aaaa: 815, aaaaaaaa: 816 };
    const copy = join(folder, 'copy');
    await change(
      'vocab.json',
      vocabulary((json) => Object.assign(json, own)),
    );
    await writeFile(join(copy, 'merges.txt'), 'a a\naa aa\naaaa aaaa\n');
    const doubling = await ClipTokenizer.load(copy);
    expect(doubling.tokenize('a'.repeat(17)).pieces).toEqual(['aaaaaaaa', 'aaaaaaaa', 'a</w>']);
  });

  it('may have tokens that objects have as properties', async () => {
    const copy = join(folder, 'copy');
    await change('vocab.json', (text) =>
      text.replace(/}\s*$/, ',"__":814,"__p":815,"__proto__":816,"constructor":817}'),
    );
    await writeFile(join(copy, 'merges.txt'), '_ _\n__ p\n');
    const odd = await ClipTokenizer.load(copy);
    expect(odd.tokenize('__proto__ constructor').ids.every(Number.isInteger)).toBe(true);
    expect(odd.tokenize('__').pieces).toEqual(['_', '_</w>']);
  });

  it('says the padding and the length, or is like CLIP', async () => {
    const short = await change(
      'tokenizer_config.json',
      vocabulary((json) => {
        json.pad_token = { content: '!' };
        json.model_max_length = 5;
      }),
    );
    expect([...short.tokenize('a').padded]).toEqual([812, ...short.tokenize('a').ids, 813, 0, 0]);
    expect([...short.tokenize('a!!').ids].slice(-2)).toEqual([0, 0]);
    await rm(join(folder, 'copy', 'tokenizer_config.json'));
    expect((await ClipTokenizer.load(join(folder, 'copy'))).length).toBe(77);
    await expect(ClipTokenizer.load(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

it('a vocabulary follows from its merges', () => {
  const { ids } = vocabularyOf([['a', 'b']]);
  expect([ids.size, ids.get('!'), ids.get('!</w>'), ids.get('ab'), ids.get('<|endoftext|>')]).toEqual([
    515, 0, 256, 512, 514,
  ]);
});

describe('tokens that are added', () => {
  it('count with all their embeddings, and those before them stay', () => {
    const base = ClipTokenizer.of(vocabularyOf([]));
    const one = withTokens(base, [{ token: 'v1.5', first: 514, count: 3 }]);
    const both = withTokens(one, [{ token: 'Cafe\u0301', first: 517, count: 1 }]);
    expect([base, one, both].map(({ vocabulary }) => vocabulary)).toEqual([514, 517, 518]);
    // A point is one, and letters may come with their accents or apart from them.
    expect(both.tokenize('v1.5 caf\u00e9').ids).toEqual([514, 515, 516, 517]);
    const marks = withTokens(base, [{ token: '.*', first: 514, count: 1 }]);
    expect(marks.tokenize('!!*').ids).toEqual(base.tokenize('!!*').ids);
  });

  it('have up to 200 characters, and are no ends of texts, whatever their case', () => {
    const [longest, tooLong] = [200, 201].map((length) => problemOfToken('a'.repeat(length)));
    expect([longest, tooLong]).toEqual([null, expect.stringContaining('1 to 200 characters')]);
    for (const token of ['<|EndOfText|>', '<|startoftext|>']) expect(problemOfToken(token)).toContain('ends a text');
  });
});

describe('dpm tokens', () => {
  it('tells ids, pieces and chunks', async () => {
    const told = await dpm('tokens', 'clip', 'a photo of a cat');
    expect(told.stdout).toBe(
      'clip: 5 tokens\n  320   a</w>\n  1125  photo</w>\n  539   of</w>\n  320   a</w>\n  2368  cat</w>\n',
    );
    const long = await dpm('tokens', 'clip', 'cat '.repeat(80));
    expect(long.stdout).toMatch(/^clip: 80 tokens, more than the 75 that one evaluation takes: 2 chunks\n/);
    const pipeline = join(folder, 'pipeline');
    await mkdir(pipeline);
    for (const [name, from] of [
      ['tokenizer', 'sd1'],
      ['tokenizer_2', 'sd2'],
    ] as const) {
      await cp(join(fixtures, from, 'tokenizer'), join(pipeline, name), { recursive: true });
    }
    const both = JSON.parse((await dpm('tokens', pipeline, 'hello!', '--json')).stdout) as {
      name: string;
      ids: number[];
    }[];
    expect(both.map(({ name }) => name)).toEqual(['tokenizer', 'tokenizer_2']);
    expect(both[1]!.ids.at(-1)).toBe(0);
    expect((await dpm('tokens', join(pipeline, 'tokenizer_2'), 'hello!', '--json')).stdout).toContain(
      `"ids":[${both[1]!.ids.join()}]`,
    );
    expect((await dpm('tokens', folder, 'x')).stderr).toContain('has neither tokenizer/ nor vocab.json');
  });
});
