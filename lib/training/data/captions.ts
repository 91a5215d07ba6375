import { relative, sep } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { isJsonObject } from '../../files/config-reader.js';
import { shownPath, type FilePath } from '../../files/files.js';
import { parseJson } from '../../files/parse-json.js';
import { forEachLine, invalidLine, type TextLine } from './text-lines.js';

/** Most bytes of a line: thousands of texts of one picture. */
const MOST_LINE_BYTES = 2 ** 20;

/** Most texts of a file, more than the pictures that fit into memory have. */
const MOST_TEXTS = 2 ** 24;

/** Texts of one picture, each of them true: at least one. */
type Texts = readonly string[];

/** Texts of pictures. The lines of a file name pictures in one of two ways, and one of the maps is empty. */
export interface Captions {
  /** Texts of pictures in files, by their names in the folder of the captions: `a.png`, `cats/b.png`. */
  readonly byName: ReadonlyMap<string, Texts>;
  /** Texts of images in one file, by their places in it, from 0. */
  readonly byIndex: ReadonlyMap<number, Texts>;
}

/** Texts of pictures in their order. */
export interface CaptionsInOrder {
  readonly texts: readonly Texts[];
  /** Number of captions of pictures that are not there. */
  readonly unused: number;
}

/** Tells what is wrong with the name of a picture, if anything is. One file has one name, so that none has two captions. */
function problemOfName(name: unknown): string | null {
  if (typeof name !== 'string' || name === '') return 'has no file_name, a text, or index, an integer from 0';
  const shown = `has the file_name '${name.slice(0, 80)}'`;
  if (/[\0\\]|\p{Surrogate}/u.test(name)) return `${shown}, whose parts have to be divided by '/'`;
  if (name.startsWith('/') || /^[a-z]:/i.test(name)) return `${shown}, which is no name in the folder of the captions`;
  const isPlain = name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  return isPlain ? null : `${shown}, which has an empty part, '.' or '..'`;
}

/** Collects the captions of lines. */
class CaptionsReader {
  readonly byName = new Map<string, Texts>();
  readonly byIndex = new Map<number, Texts>();
  #count = 0;

  constructor(private readonly path: string) {}

  add({ text: source, number }: TextLine): void {
    if (source.trim() === '') return;
    const invalid = (problem: string, cause?: unknown): DpmError => invalidLine(this.path, number, problem, cause);
    const json = parseJson(source, invalid);
    if (!isJsonObject(json)) throw invalid('is not a JSON object');
    const { file_name: name, index, text } = json;
    const texts = this.#texts(text, invalid);
    if (index === undefined) this.#addName(name, texts, invalid);
    else if (name !== undefined) throw invalid('has both file_name and index');
    else this.#addIndex(index, texts, invalid);
    if (this.byName.size > 0 && this.byIndex.size > 0) {
      throw invalid(`has ${index === undefined ? 'a file_name' : 'an index'}, unlike the lines before`);
    }
  }

  #texts(text: unknown, invalid: (problem: string) => DpmError): Texts {
    const texts: unknown[] = Array.isArray(text) ? text : [text];
    if (texts.length === 0) throw invalid('has an empty list as its text');
    this.#count += texts.length;
    if (this.#count > MOST_TEXTS) throw invalid(`exceeds ${MOST_TEXTS} texts, the most that are read of a file`);
    return texts.map((each) => {
      if (typeof each !== 'string') throw invalid('has no text, a string or a list of strings');
      if (/\p{Surrogate}/u.test(each)) throw invalid('has a text with half of a surrogate pair, which is no character');
      return each;
    });
  }

  #addName(name: unknown, texts: Texts, invalid: (problem: string) => DpmError): void {
    const problem = problemOfName(name);
    if (problem !== null) throw invalid(problem);
    const known = name as string;
    if (this.byName.has(known)) throw invalid(`has the file_name '${known.slice(0, 80)}', as a line before has`);
    this.byName.set(known, texts);
  }

  #addIndex(index: unknown, texts: Texts, invalid: (problem: string) => DpmError): void {
    if (typeof index !== 'number' || !Number.isSafeInteger(index) || index < 0) {
      throw invalid('has an index that is no integer from 0');
    }
    // -0 is the key 0 of a map.
    if (this.byIndex.has(index)) throw invalid(`has the index ${index}, as a line before has`);
    this.byIndex.set(index, texts);
  }
}

/**
 * Reads captions, `captions.jsonl` or `metadata.jsonl`: lines of JSON, each with the `text` of a picture, or a list of several,
 * and its `file_name`, or its `index` among the images of one file. Empty lines are none; other fields are left alone.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_CONFIG` naming the file, the line and what is wrong.
 */
export async function readCaptions(path: string): Promise<Captions> {
  const reader = new CaptionsReader(path);
  await forEachLine(path, MOST_LINE_BYTES, (line) => {
    reader.add(line);
  });
  return { byName: reader.byName, byIndex: reader.byIndex };
}

/** Finds the texts of pictures in their order; each has to have some. */
function inOrder<Key>(
  keys: readonly Key[],
  texts: ReadonlyMap<Key, Texts>,
  nameOf: (place: number) => string,
): CaptionsInOrder {
  const found = keys.map((key, place) => {
    const own = texts.get(key);
    if (own === undefined) throw new DpmError('ERR_DPM_FILE', `${nameOf(place)} has no caption`);
    return own;
  });
  return { texts: found, unused: texts.size - new Set(keys).size };
}

/**
 * Gives the texts of pictures in files, in their order.
 *
 * @param folder - Folder of the captions, which the pictures lie in.
 * @throws {@link DpmError} `ERR_DPM_FILE` naming a picture without caption.
 */
export function captionsOf(pictures: readonly FilePath[], { byName }: Captions, folder: string): CaptionsInOrder {
  // A name that is no text is none of a line, either.
  const keys = pictures.map((path) => (typeof path === 'string' ? relative(folder, path).split(sep).join('/') : ''));
  return inOrder(keys, byName, (place) => shownPath(pictures[place] ?? ''));
}

/**
 * Gives the texts of the images of one file, in their order.
 *
 * @param path - Name of the file in messages.
 * @throws {@link DpmError} `ERR_DPM_FILE` naming an image without caption.
 */
export function captionsOfImages(path: string, count: number, { byIndex }: Captions): CaptionsInOrder {
  const keys = Array.from({ length: count }, (_, index) => index);
  return inOrder(keys, byIndex, (place) => `${path}: image ${place}`);
}
