// Texts beside the pixels of a PNG.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

import fc from 'fast-check';
import { decode, encode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const path = join(folder, 'some.png');
const images = new ImageBatch(Uint8Array.of(0, 50, 100, 150, 200, 250), [1, 1, 2, 3]);
const two = new ImageBatch(Uint8Array.of(0, 255), [2, 1, 1, 1]);

/** A chunk with a right checksum. */
function chunk(name: string, data: Uint8Array | string): Buffer {
  const named = Buffer.concat([Buffer.from(name), Buffer.from(data)]);
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(named.length - 4);
  numbers.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([numbers.subarray(0, 4), named, numbers.subarray(4)]);
}

/** A file whose second and further chunks are these. */
async function withChunks(...chunks: Buffer[]): Promise<void> {
  const png = encode({ width: 3, height: 2, channels: 1, data: new Uint8Array(6) });
  await writeFile(path, Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]));
}

describe('a text of a PNG', () => {
  it('is read as it was written, whatever it holds, and the pixels are what they were', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map((each) => each.replaceAll('\0', ''));
    const odd = ['', '\n', ' a ', 'caf\u00e9 \u00a0\u00ff', '\u0080\u009f', 'tab\t\r\n', '\u{1f98a} fox', '\ufeffx'];
    await fc.assert(
      fc.asyncProperty(text, async (given) => {
        await images.save(path, { texts: { Author: 'nobody', parameters: given } });
        expect(await readPngText(path, 'parameters')).toBe(given);
        expect(await readPngText(path, 'Author')).toBe('nobody');
      }),
      { numRuns: 60, examples: odd.map((each) => [each]) },
    );
    expect((await ImageBatch.load(path)).toUint8()).toEqual(images.toUint8());
  });

  it('in Latin-1 is one that other decoders know', () => {
    const text = 'a caf\u00e9\nSteps: 20';
    const png = images.toPng({ texts: { parameters: text } });
    expect(decode(png, { checkCrc: true }).text).toEqual({ parameters: text });
    expect(Buffer.from(png).includes('iTXt')).toBe(false);
    const other = Buffer.from(images.toPng({ texts: { parameters: 'a \u{1f98a}' } }));
    expect(decode(other, { checkCrc: true }).text).toEqual({});
    expect(other.includes(Buffer.from('iTXtparameters\0\0\0\0\0a \u{1f98a}'))).toBe(true);
    const control = Buffer.from(images.toPng({ texts: { parameters: '\u0085' } }));
    expect(control.includes('iTXtparameters')).toBe(true);
  });

  it.each(['x', '\u00e4', '\u{1f98a}'])('has at most 2^20 bytes, of %j', async (letter) => {
    const [keyword, text] = ['k'.repeat(79), letter.repeat(2 ** 20 / Buffer.byteLength(letter))];
    await images.save(path, { texts: { [keyword]: text } });
    expect((await readPngText(path, keyword)) === text).toBe(true);
    expect(() => images.toPng({ texts: { [keyword]: `${text}x` } })).toThrow(/^texts is/);
  });

  it('is in every picture of a folder, and in no other file', async () => {
    await two.save(join(folder, 'pictures'), { texts: { parameters: 'x' } });
    for (const name of ['00000.png', '00001.png']) {
      expect(await readPngText(join(folder, 'pictures', name), 'parameters')).toBe('x');
    }
    await two.save(join(folder, 'some.safetensors'), { texts: { parameters: 'only here' } });
    expect((await readFile(join(folder, 'some.safetensors'))).includes('only here')).toBe(false);
    expect(images.toPng({ texts: {} })).toEqual(images.toPng());
  });

  it.each([
    [{ '': 'x' }],
    [{ ['k'.repeat(80)]: 'x' }],
    [{ ' k': 'x' }],
    [{ 'k\0': 'x' }],
    [{ k: 'a\0b' }],
    [{ k: '\ud800' }],
    [{ k: 3 }],
    [{ k: 'x'.repeat(2 ** 20 + 1) }],
    ['x'],
  ])('is refused: %j', (texts) => {
    expect(() => images.toPng({ texts } as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringMatching(/^texts is/) as string,
      }) as Error,
    );
  });
});

describe('a text that is looked for', () => {
  it('may be absent, or be beside others and behind the pixels', async () => {
    await withChunks();
    expect(await readPngText(path, 'parameters')).toBeNull();
    const bytes = await readFile(path);
    const late = chunk('tEXt', 'parameters\0late');
    await writeFile(path, Buffer.concat([bytes.subarray(0, -12), late, bytes.subarray(-12)]));
    expect(await readPngText(path, 'parameters')).toBe('late');
    await withChunks(chunk('zTXt', Buffer.concat([Buffer.from('other\0\0'), deflateSync('x')])), late);
    expect(await readPngText(path, 'parameters')).toBe('late');
    await withChunks(chunk('iTXt', 'parameters\0\0\0de\0Werte\0\u00fc'));
    expect(await readPngText(path, 'parameters')).toBe('\u00fc');
  });

  it('is none behind the end of the picture', async () => {
    await withChunks();
    await writeFile(path, Buffer.concat([await readFile(path), chunk('tEXt', 'parameters\0beyond')]));
    expect(await readPngText(path, 'parameters')).toBeNull();
  });

  const damaged = chunk('tEXt', 'parameters\0a');
  damaged[20] = 0x62;
  it.each([
    ['twice', [chunk('tEXt', 'parameters\0a'), chunk('iTXt', 'parameters\0\0\0\0\0b')], 'says parameters twice'],
    ['damaged', [damaged], 'is damaged'],
    ['of another encoding', [chunk('iTXt', Buffer.from('parameters\0\0\0\0\0\xff', 'latin1'))], 'is not UTF-8'],
    ['compressed', [chunk('zTXt', Buffer.concat([Buffer.from('parameters\0\0'), deflateSync('x')]))], 'is compressed'],
    ['compressed, in UTF-8', [chunk('iTXt', 'parameters\0\x01\0\0\0x')], 'is compressed'],
    ['without an end of its keyword', [chunk('tEXt', 'parameters')], 'has no keyword'],
    ['with NUL', [chunk('tEXt', 'parameters\0a\0b')], 'holds NUL'],
    ['too long', [chunk('tEXt', `parameters\0${'x'.repeat(2 ** 20 + 1024)}`)], 'bytes'],
    ['behind many chunks', [Buffer.alloc(65_534 * 12, chunk('abCd', ''))], 'more than 65536 chunks'],
    ['behind what is longer than the file', [Buffer.from('7fffffff74455874', 'hex')], 'cut off'],
  ])('and is %s is refused', async (_, chunks, problem) => {
    await withChunks(...chunks);
    const { code, message } = await failure(readPngText(path, 'parameters'));
    expect(code).toBe('ERR_DPM_FILE');
    expect(message).toContain(`${path}: `);
    expect(message).toContain(problem);
  });

  it('in what is no PNG is refused', async () => {
    for (const bytes of ['', 'GIF89a', '\x89PNG']) {
      await writeFile(path, bytes, 'latin1');
      expect((await failure(readPngText(path, 'parameters'))).message).toContain('this is no PNG');
    }
    expect((await failure(readPngText(join(folder, 'nowhere.png'), 'x'))).code).toBe('ERR_DPM_FILE');
  });
});
