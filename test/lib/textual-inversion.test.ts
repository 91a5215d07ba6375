// Embeddings of new tokens: a token with the embeddings of known ones is those, wherever a text has it.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { ClipTokenizer, TextToImage, type EmbeddingOptions, type TextToImageLoadOptions } from '../../lib/index.js';
import { tokenTable } from '../../lib/checkpoint/pipelines/text-encoder.js';
import { floatTensor, writeFileTensors } from '../support/file-tensors.js';
import { latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';
import { tensorReader } from '../support/tensors.js';
import { archive, checkpointEntries, floats, pickle } from '../support/write-pytorch.js';

const folder = temporaryFolder();
const [sd1, sdxl] = [join(latentFixtures, 'sd1'), join(latentFixtures, 'sdxl')];
const known = 'red sofa';
const prompt = (token: string): string => `a photo of a ${token}, high quality`;

/** Embeddings that an encoder has for a text, [tokens, width]. */
async function embeddingsOf(model: string, suffix = ''): Promise<{ rows: Float32Array; vectors: number }> {
  const { ids } = (await ClipTokenizer.load(join(model, `tokenizer${suffix}`))).tokenize(known);
  const read = tensorReader(join(model, `text_encoder${suffix}`, 'model.safetensors'));
  const table = await read(`text_model.${tokenTable}`);
  const width = table.length / 814;
  return {
    rows: Float32Array.from(ids.flatMap((id) => [...table.subarray(id * width, (id + 1) * width)])),
    vectors: ids.length,
  };
}

async function written(name: string, tables: Record<string, { rows: Float32Array; vectors: number }>): Promise<string> {
  const tensors = Object.entries(tables).map(
    ([key, { rows, vectors }]) => [key, floatTensor(rows, [vectors, rows.length / vectors])] as const,
  );
  return writeFileTensors(join(folder, name), new Map(tensors));
}

/** Writes a pickle: of webui, whose table is a parameter under `*`, or of diffusers, a tensor under its token. */
async function pickled(
  name: string,
  { rows, vectors }: { rows: Float32Array; vectors: number },
  token: string,
  isOfWebui = true,
): Promise<string> {
  const width = rows.length / vectors;
  const tensor = pickle.tensor(
    pickle.storage('0', rows.length),
    pickle.integer(0),
    [pickle.integer(vectors), pickle.integer(width)],
    [pickle.integer(width), pickle.integer(1)],
  );
  const parameter = [
    pickle.global('torch._utils', '_rebuild_parameter'),
    pickle.tuple(tensor, '\x88', [pickle.global('collections', 'OrderedDict'), ')', 'R']),
    'R',
  ];
  const entries = [
    [pickle.text('string_to_token'), pickle.dictionary(pickle.text('*'), pickle.integer(265))],
    [pickle.text('string_to_param'), pickle.dictionary(pickle.text('*'), parameter)],
    [pickle.text('name'), pickle.text(token)],
    [pickle.text('step'), pickle.integer(499)],
  ];
  const path = join(folder, name);
  const plain = pickle.dictionary(pickle.text(token), tensor, pickle.text('name'), pickle.text('other'));
  const whole = pickle.whole(isOfWebui ? pickle.dictionary(...entries) : plain);
  await writeFile(path, archive(checkpointEntries(whole, { 0: floats(...rows) })));
  return path;
}

const load = (
  embeddings: readonly EmbeddingOptions[],
  more: TextToImageLoadOptions = {},
  model = sd1,
): Promise<TextToImage> => TextToImage.load(model, { device: 'cpu', embeddings, ...more });

let own: { rows: Float32Array; vectors: number };
beforeAll(async () => {
  own = await embeddingsOf(sd1);
  expect(own.vectors).toBeGreaterThan(1);
});

describe('a token', () => {
  it.each<[string, string, () => Promise<EmbeddingOptions>]>([
    ["of diffusers' file", '<my-sofa>', async () => ({ path: await written('a.safetensors', { '<my-sofa>': own }) })],
    ["of webui's file", 'mysofa', async () => ({ path: await written('mysofa.safetensors', { emb_params: own }) })],
    ["of webui's pickle", 'SofaByName', async () => ({ path: await pickled('b.pt', own, 'SofaByName') })],
    ["of diffusers' pickle", '<bin>', async () => ({ path: await pickled('learned_embeds.bin', own, '<bin>', false) })],
    ['that is given', 'so-fa', async () => ({ path: await written('c.safetensors', { other: own }), token: 'so-fa' })],
  ])('%s is its embeddings', async (_, token, file) => {
    await using pipeline = await load([await file()]);
    const expected = await pipeline.encodePrompt(prompt(known));
    const { hidden, truncated } = await pipeline.encodePrompt(prompt(token));
    expect(hidden).toEqual(expected.hidden);
    expect(truncated).toBe(false);
    // Whatever its case, and beside other signs.
    expect((await pipeline.encodePrompt(prompt(token.toUpperCase()))).hidden).toEqual(expected.hidden);
    const { ids, pieces } = pipeline.tokenize(`(${token})!`);
    expect(ids.filter((id) => id >= 814)).toEqual(Array.from({ length: own.vectors }, (__, i) => 814 + i));
    expect(pieces.filter((piece) => piece.startsWith(token.toLowerCase()))).toHaveLength(own.vectors);
    expect(pieces.filter((piece) => piece === `${token.toLowerCase()}</w>`)).toHaveLength(1);
  });

  it('that ends in a letter is a whole word, and the longest one counts', async () => {
    const path = await written('d.safetensors', { own: own });
    await using pipeline = await load([
      { path, token: 'sofa' },
      { path, token: 'sofabed' },
      { path, token: '.*' },
      { path, token: '<s>' },
      { path, token: '<s>>' },
    ]);
    const added = (text: string): number[] => pipeline.tokenize(text).ids.filter((id) => id >= 814);
    const at = (index: number): number[] =>
      Array.from({ length: own.vectors }, (_, i) => 814 + index * own.vectors + i);
    expect(added('sofas, a sofa3')).toEqual([]);
    expect(added('a sofa')).toEqual(at(0));
    expect(added('sofabed sofa')).toEqual([...at(1), ...at(0)]);
    expect(added('x.*y')).toEqual(at(2));
    expect(added('<s>>, <s>')).toEqual([...at(4), ...at(3)]);
    expect(added('anything')).toEqual([]);
  });

  it('stays one in long prompts, and with low-rank additions', async () => {
    const path = await written('e.safetensors', { '<e>': own });
    await using pipeline = await load([{ path }]);
    const long = (token: string): string => `${'ship '.repeat(60)}${token} ${'ship '.repeat(60)}`;
    const draw = async (text: string): Promise<Float32Array> => {
      const run = { prompt: text, steps: 1, height: 16, width: 16, output: 'latents', longPrompts: 'chunks' } as const;
      return (await pipeline.generate(run)).latents;
    };
    const [plain, same] = [await draw(long('<e>')), await draw(long(known))];
    expect(plain).toEqual(same);
    await pipeline.setLoras([{ path: join(sd1, 'lora/kohya.safetensors') }]);
    const added = await draw(long('<e>'));
    expect(added).toEqual(await draw(long(known)));
    expect(added).not.toEqual(plain);
  });

  it('has embeddings for each of two encoders, and the end of its text is the end', async () => {
    const tables = { clip_g: await embeddingsOf(sdxl, '_2'), clip_l: await embeddingsOf(sdxl) };
    const path = await written('f.safetensors', tables);
    // The id of old configurations, which stands for the largest one.
    const old = join(folder, 'text_encoder_2');
    await cp(join(sdxl, 'text_encoder_2'), old, { recursive: true });
    const config = JSON.parse(await readFile(join(old, 'config.json'), 'utf8')) as object;
    await writeFile(join(old, 'config.json'), JSON.stringify({ ...config, eos_token_id: 2 }));
    for (const textEncoder of [undefined, [join(sdxl, 'text_encoder'), old]]) {
      await using pipeline = await load([{ path, token: 'it' }], { textEncoder }, sdxl);
      const [expected, found] = [await pipeline.encodePrompt(prompt(known)), await pipeline.encodePrompt(prompt('it'))];
      expect(found).toEqual(expected);
      expect(found.pooled).not.toBeNull();
    }
  });

  it('is read at the call', async () => {
    const entry: EmbeddingOptions = { path: await written('g.safetensors', { '<g>': own }) };
    const list = [entry];
    const loading = load(list);
    list.length = 0;
    entry.path = 'nowhere';
    await using pipeline = await loading;
    expect(pipeline.tokenize('<g>').ids).toContain(814);
    expect(pipeline.tokenize('caf\u00e9').ids.every((id) => id < 814)).toBe(true);
  });
});

describe('a file is refused', () => {
  const one = (rows: Float32Array, vectors = 1) => ({ rows, vectors });
  it.each<[string, () => Promise<EmbeddingOptions[]>, string]>([
    [
      'of another width',
      async () => [{ path: await written('w.safetensors', { a: one(new Float32Array(7)) }) }],
      "no vectors of 32, the text encoder's width",
    ],
    [
      'of two tokens',
      async () => [{ path: await written('t.safetensors', { a: own, b: own }) }],
      'embeddings of one token',
    ],
    [
      'of too many vectors',
      async () => [{ path: await written('m.safetensors', { a: one(new Float32Array(76 * 32), 76) }) }],
      '76 vectors, 1 to 75',
    ],
    [
      'that is not finite',
      async () => [{ path: await written('n.safetensors', { a: one(new Float32Array(32).fill(NaN)) }) }],
      "'a' is NaN at element 0",
    ],
    ['that is not there', () => Promise.resolve([{ path: join(folder, 'nowhere.pt') }]), 'nowhere.pt'],
    [
      'for a token with spaces',
      async () => [{ path: await written('s.safetensors', { a: own }), token: 'a b' }],
      'and no spaces',
    ],
    [
      'for the end',
      async () => [{ path: await written('x.safetensors', { a: own }), token: '<|endoftext|>' }],
      'begins or ends a text',
    ],
    [
      'for a token that another is for',
      async () => [
        { path: await written('y.safetensors', { a: own }), token: 'A' },
        { path: await written('z.safetensors', { a: own }), token: 'a' },
      ],
      "both are embeddings of 'a'",
    ],
    [
      'with an option that is none',
      async () => [{ path: await written('o.safetensors', { a: own }), scale: 1 } as EmbeddingOptions],
      'scale',
    ],
  ])('%s', async (_, embeddings, message) => {
    await expect(load(await embeddings())).rejects.toThrow(message);
  });

  it('that has no embeddings for one of two encoders, or other numbers of them', async () => {
    const [first, second] = [await embeddingsOf(sdxl), await embeddingsOf(sdxl, '_2')];
    const lone = await written('l.safetensors', { clip_l: first });
    await expect(load([{ path: lone }], {}, sdxl)).rejects.toThrow('no vectors of 48');
    const fewer = { rows: second.rows.slice(48), vectors: second.vectors - 1 };
    const other = await written('k.safetensors', { clip_l: first, clip_g: fewer });
    await expect(load([{ path: other }], {}, sdxl)).rejects.toThrow('different numbers of vectors');
  });
});
