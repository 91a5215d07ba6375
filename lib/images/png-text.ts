import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

import { DpmError } from '../base/errors.js';
import { isObject, type Kind } from '../base/option-kinds.js';
import { readExactly, withFile } from '../files/files.js';

/** Texts beside the pixels of a PNG, by their keywords. */
export type PngTexts = Readonly<Record<string, string>>;

/** Most bytes of a text that is written or read. */
const MOST_TEXT_BYTES = 1 << 20;

/** Most chunks of a file that is searched for a text: a picture of 65,535 x 65,535 pixels in large chunks has fewer. */
const MOST_CHUNKS = 65_536;

/** Bytes of a PNG before the chunk that may follow the first: signature, and the chunk of the sides. */
const HEAD_BYTES = 8 + 25;
const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** Texts that `tEXt` holds as every program reads them; the others are written as UTF-8, in `iTXt`. */
const latin = /^[\n\x20-\x7e\xa0-\xff]*$/;
const keyword = /^(?! )[\x20-\x7e]{1,79}(?<! )$/;

function isText(value: unknown): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) <= MOST_TEXT_BYTES && !/[\0\p{Surrogate}]/u.test(value);
}

/** Kind of {@link PngTexts}. */
export const pngTextsKind: Kind = {
  expected: `an object of texts of at most ${MOST_TEXT_BYTES} bytes, without NUL, by keywords of 1 to 79 printable characters`,
  schema: { type: 'object', additionalProperties: { type: 'string' } },
  holds: (value) =>
    isObject(value) && Object.entries(value).every(([name, text]) => keyword.test(name) && isText(text)),
};

function chunk(name: string, data: Uint8Array): Uint8Array {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, checksum]);
}

function textChunk([name, text]: [keyword: string, text: string]): Uint8Array {
  if (latin.test(text)) return chunk('tEXt', Buffer.from(`${name}\0${text}`, 'latin1'));
  // Not compressed, of no language, without a translated keyword.
  return chunk('iTXt', Buffer.concat([Buffer.from(`${name}\0\0\0\0\0`, 'latin1'), Buffer.from(text)]));
}

/** Adds texts to an encoded PNG, before its pixels. */
export function withTexts(png: Uint8Array, texts: PngTexts): Uint8Array {
  const chunks = Object.entries(texts).map(textChunk);
  if (chunks.length === 0) return png;
  return Buffer.concat([png.subarray(0, HEAD_BYTES), ...chunks, png.subarray(HEAD_BYTES)]);
}

interface FoundText {
  readonly keyword: string;
  /** Text; null if it is compressed. */
  readonly text: string | null;
}

/** Splits off what is before the next NUL; null if there is none. */
function untilNul(data: Buffer): [before: Buffer, after: Buffer] | null {
  const end = data.indexOf(0);
  return end < 0 ? null : [data.subarray(0, end), data.subarray(end + 1)];
}

function internationalText(data: Buffer): string | null {
  if (data[0] !== 0) return null;
  const language = untilNul(data.subarray(2));
  const translated = language && untilNul(language[1]);
  return translated && new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(translated[1]);
}

function textOf(name: string, data: Buffer): FoundText | null {
  const split = untilNul(data);
  if (split === null) return null;
  const own = split[0].toString('latin1');
  if (name === 'tEXt') return { keyword: own, text: split[1].toString('latin1') };
  return { keyword: own, text: name === 'iTXt' ? internationalText(split[1]) : null };
}

function wrongFile(path: string, what: string): DpmError {
  return new DpmError('ERR_DPM_FILE', `${path}: ${what}`);
}

/** Reads the text of a chunk of text. */
async function readTextChunk(file: FileHandle, path: string, position: number, length: number): Promise<FoundText> {
  if (length > MOST_TEXT_BYTES + 1024) throw wrongFile(path, `a text of the PNG has ${length} bytes`);
  const bytes = Buffer.from(await readExactly(file, path, position + 4, length + 8));
  const named = bytes.subarray(0, 4 + length);
  if (crc32(named) !== bytes.readUInt32BE(4 + length)) throw wrongFile(path, 'a text of the PNG is damaged');
  let found: FoundText | null;
  try {
    found = textOf(named.toString('latin1', 0, 4), named.subarray(4));
  } catch {
    throw wrongFile(path, 'a text of the PNG is not UTF-8');
  }
  if (found === null) throw wrongFile(path, 'a text of the PNG has no keyword');
  return found;
}

/**
 * Reads a text of a PNG by its keyword; null if there is none. Pixels are passed over.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file if it is no PNG, or the text is damaged, compressed, too long or
 * there twice.
 */
export async function readPngText(path: string, wanted: string): Promise<string | null> {
  return withFile(path, async (file, size) => {
    const start = await readExactly(file, path, 0, Math.min(size, SIGNATURE.length));
    if (Buffer.compare(start, SIGNATURE) !== 0) throw wrongFile(path, 'this is no PNG');
    const texts: (string | null)[] = [];
    let position = SIGNATURE.length;
    for (let chunks = 0; position + 12 <= size; ++chunks) {
      if (chunks === MOST_CHUNKS) throw wrongFile(path, `the PNG has more than ${MOST_CHUNKS} chunks`);
      const head = Buffer.from(await readExactly(file, path, position, 8));
      const [length, name] = [head.readUInt32BE(0), head.toString('latin1', 4)];
      if (position + 12 + length > size) throw wrongFile(path, 'the PNG is cut off');
      if (name === 'IEND') break;
      if (['tEXt', 'iTXt', 'zTXt'].includes(name)) {
        const found = await readTextChunk(file, path, position, length);
        if (found.keyword === wanted) texts.push(found.text);
      }
      position += 12 + length;
    }
    if (texts.length > 1) throw wrongFile(path, `the PNG says ${wanted} twice`);
    const [text] = texts;
    if (text === null) throw wrongFile(path, `the text ${wanted} of the PNG is compressed, which is not read`);
    if (text?.includes('\0') === true) throw wrongFile(path, `the text ${wanted} of the PNG holds NUL`);
    return text ?? null;
  });
}
