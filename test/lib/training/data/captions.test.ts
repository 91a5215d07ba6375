// Captions of pictures, and files of them that are damaged or hostile.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { captionsOfImages, captionsOf, readCaptions } from '../../../../lib/training/data/captions.js';
import { picturesOfFolder } from '../../../../lib/training/data/picture-folder.js';
import { failure } from '../../../support/failure.js';
import { pathsIn, temporaryFolder } from '../../../support/temporary.js';

const nextPath = pathsIn(temporaryFolder());

function file(content: string | Uint8Array): string {
  const path = nextPath();
  writeFileSync(path, content);
  return path;
}

function lines(...values: unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}

const cat = { file_name: 'cat.png', text: 'a red cat' };

describe('captions', () => {
  it('are the texts of each file name', async () => {
    const tree = { file_name: 'trees/été.png', text: ['a tree', '', 'a tree'], license: { of: ['tree'] } };
    const path = file(`\n${lines(cat)} \r\n\t\n${JSON.stringify(tree)}`);
    const { byName, byIndex } = await readCaptions(path);
    expect([...byName]).toEqual([
      ['cat.png', ['a red cat']],
      ['trees/été.png', ['a tree', '', 'a tree']],
    ]);
    expect(byIndex.size).toBe(0);
    expect([...(await readCaptions(file(''))).byName]).toEqual([]);
    expect((await readCaptions(file(lines(cat).replace('\n', '\r\n')))).byName.get('cat.png')).toEqual(['a red cat']);
    expect((await readCaptions(file(`\ufeff${lines(cat)}`))).byName.size).toBe(1);
  });

  it('are the texts of each index', async () => {
    const { byName, byIndex } = await readCaptions(
      file(lines({ index: 1, text: 'b' }, { text: ['a', 'c'], index: 0 })),
    );
    expect([...byIndex]).toEqual([
      [1, ['b']],
      [0, ['a', 'c']],
    ]);
    expect(byName.size).toBe(0);
  });

  it('are read whatever the lengths of the lines are', async () => {
    const texts = fc.array(
      fc.string({ unit: 'grapheme', maxLength: 4 }).map((unit) => unit.repeat(9000)),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(texts, async (all) => {
        const { byIndex } = await readCaptions(file(lines(...all.map((text, index) => ({ index, text })))));
        expect([...byIndex.values()]).toEqual(all.map((text) => [text]));
      }),
      { numRuns: 20 },
    );
  });
});

describe('captions are refused', () => {
  const named = (file_name: unknown): string => lines({ file_name, text: 'a' });
  const told = (text: unknown): string => lines({ file_name: 'a.png', text });
  it.each<[name: string, line: string, message: string]>([
    ['that are no JSON', '{"file_name": "a.png", "text": "a"', 'is not JSON'],
    ['that are several values', '{} {}', 'is not JSON'],
    ['that are a list', '["a.png", "a"]', 'is not a JSON object'],
    ['that are null', 'null', 'is not a JSON object'],
    ['with a key twice', '{"file_name": "a.png", "text": "a", "text": "b"}', "has the key 'text' twice"],
    ['nested too deep', `{"file_name": "a.png", "text": ${'['.repeat(70)}`, 'is nested more than 64 deep'],
    ['without a name', lines({ text: 'a' }), 'has no file_name'],
    ['whose name is a number', named(3), 'has no file_name'],
    ['whose name is null', named(null), 'has no file_name'],
    ['whose name is empty', named(''), 'has no file_name'],
    ['with an absolute path', named('/etc/a.png'), 'no name in the folder'],
    ['with a drive', named('c:/a.png'), 'no name in the folder'],
    ['with backslashes', named('..\\a.png'), "divided by '/'"],
    ['with a NUL', named('a.png\0'), "divided by '/'"],
    ['with half a pair in a name', String.raw`{"file_name": "\ud800.png", "text": "a"}`, "divided by '/'"],
    ['from the folder above', named('../a.png'), "'..'"],
    ['from a folder beside', named('cats/../../a.png'), "'..'"],
    ['with a name written in another way', named('./a.png'), "'.'"],
    ['with an empty part', named('cats//a.png'), 'an empty part'],
    ['of a folder', named('cats/'), 'an empty part'],
    ['of one name twice', lines({ ...cat, text: 'b' }), "'cat.png', as a line before"],
    ['without a text', lines({ file_name: 'a.png' }), 'has no text'],
    ['whose text is a number', told(3), 'has no text'],
    ['whose text is null', told(null), 'has no text'],
    ['whose text is an object', told({ en: 'a' }), 'has no text'],
    ['with a list of no texts', told([]), 'an empty list'],
    ['with a list of other things', told(['a', 3]), 'has no text'],
    ['with half a pair', String.raw`{"file_name": "a.png", "text": "\udc00"}`, 'half of a surrogate pair'],
    ['with a name and an index', lines({ file_name: 'a.png', index: 0, text: 'a' }), 'both'],
    ['with an index behind names', lines({ index: 0, text: 'a' }), 'has an index, unlike the lines before'],
    ['with an index below 0', lines({ index: -1, text: 'a' }), 'no integer from 0'],
    ['with half an index', lines({ index: 0.5, text: 'a' }), 'no integer from 0'],
    ['with an index that is text', lines({ index: '0', text: 'a' }), 'no integer from 0'],
    ['with an index that is null', lines({ index: null, text: 'a' }), 'no integer from 0'],
    ['with an index that is too large', lines({ index: 2 ** 53, text: 'a' }), 'no integer from 0'],
  ])('%s', async (_, line, message) => {
    const path = file(`${lines(cat)}\n${line}`);
    const error = await failure(readCaptions(path));
    expect(error.code).toBe('ERR_DPM_CONFIG');
    expect(error.message.startsWith(`${path}: line 3 `), error.message).toBe(true);
    expect(error.message).toContain(message);
  });

  it('of one index twice, and of names behind indices', async () => {
    const first = { index: 4, text: 'a' };
    const cases: [unknown, string][] = [
      [first, 'has the index 4, as a line before has'],
      [cat, 'has a file_name, unlike the lines before'],
    ];
    for (const [second, message] of cases) {
      expect((await failure(readCaptions(file(lines(first, second))))).message).toContain(`line 2 ${message}`);
    }
  });

  it('that are not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from(lines(cat)), Buffer.from([0x22, 0xe9, 0x22])]);
    const error = await failure(readCaptions(file(bytes)));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_CONFIG',
      expect.stringContaining('line 2 is not text in UTF-8'),
    ]);
  });

  it('with a line of more than 1 MiB', async () => {
    const length = 2 ** 20 - Buffer.byteLength(told('')) + 1;
    expect((await readCaptions(file(told('a'.repeat(length))))).byName.size).toBe(1);
    const error = await failure(readCaptions(file(told('a'.repeat(length + 1)))));
    expect([error.code, error.message]).toEqual([
      'ERR_DPM_CONFIG',
      expect.stringContaining('line 1 is longer than 1048576'),
    ]);
  });

  it('of more than 2^24 texts', async () => {
    const line = (index: number): string => `{"index":${index},"text":[${'"",'.repeat(2 ** 18 - 1)}""]}\n`;
    const full = Array.from({ length: 64 }, (_, index) => line(index)).join('');
    const error = await failure(readCaptions(file(`${full}{"index":64,"text":""}\n`)));
    expect(error.message).toContain('line 65 exceeds 16777216 texts');
  });

  it('that are no file', async () => {
    const folder = nextPath();
    mkdirSync(folder);
    for (const path of [folder, nextPath()])
      expect(await failure(readCaptions(path))).toMatchObject({ code: 'ERR_DPM_FILE' });
  });
});

describe('captions in the order', () => {
  it('of pictures are found by their names', async () => {
    const folder = nextPath();
    mkdirSync(join(folder, 'trees'), { recursive: true });
    for (const name of ['cat.png', 'trees/a.jpg']) writeFileSync(join(folder, name), '');
    const other = { file_name: 'gone.png', text: 'c' };
    const captions = await readCaptions(file(lines(other, { file_name: 'trees/a.jpg', text: ['a', 'b'] }, cat)));
    const { pictures } = await picturesOfFolder(folder, false);
    expect(captionsOf(pictures, captions, folder)).toEqual({ texts: [['a red cat'], ['a', 'b']], unused: 1 });
    expect(captionsOf([], captions, folder)).toEqual({ texts: [], unused: 3 });
  });

  it('of pictures have to be there', async () => {
    const captions = await readCaptions(file(lines(cat)));
    const strange = { shown: 'folder/%E9.png', bytes: Buffer.from([0xe9]) };
    const missing = [join('folder', 'dog.png'), join('folder', 'cats', 'cat.png'), 'cat.png', strange];
    for (const picture of missing) {
      const search = Promise.resolve().then(() => captionsOf([picture], captions, 'folder'));
      const { code, message } = await failure(search);
      const shown = typeof picture === 'string' ? picture : picture.shown;
      expect([code, message]).toEqual(['ERR_DPM_FILE', `${shown} has no caption`]);
    }
  });

  it('of images are found by their places', async () => {
    const captions = await readCaptions(
      file(lines({ index: 1, text: 'b' }, { index: 0, text: 'a' }, { index: 7, text: 'c' })),
    );
    expect(captionsOfImages('images', 2, captions)).toEqual({ texts: [['a'], ['b']], unused: 1 });
    const search = Promise.resolve().then(() => captionsOfImages('images', 3, captions));
    expect((await failure(search)).message).toBe('images: image 2 has no caption');
  });
});
