import { dirname } from 'node:path';

import { wrongValue } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import { isFolder } from '../../files/files.js';
import { pathOf } from '../../files/paths.js';
import { problemOfText } from '../../text/tokenizer.js';
import { captionsOf, captionsOfImages, readCaptions } from '../data/captions.js';
import { picturesOfFolder } from '../data/picture-folder.js';

/** Texts of images, in their order: each has at least one. */
export type ImageTexts = readonly (readonly string[])[];

/** Captions that are read later, by their path, or a copy of those that are in memory. */
export type GivenCaptions = string | ImageTexts;

const expected = 'a path, a file URL, or an array of a text or of texts for each image';

/**
 * Takes the captions of a call: a path, or a copy of texts, as their owner may change them while others are read.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for anything else.
 */
export function takenCaptions(
  given: string | URL | readonly (string | readonly string[])[] | undefined,
): GivenCaptions | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given)) return pathOf('captions', given, expected);
  const entries: readonly unknown[] = given;
  return entries.map((entry, i) => {
    const texts: unknown[] = Array.isArray(entry) ? [...(entry as unknown[])] : [entry];
    const isWhole = texts.length > 0 && texts.every((text) => typeof text === 'string');
    if (!isWhole) throw wrongValue(`captions[${i}]`, entry, 'a text, or an array of at least one');
    return texts;
  });
}

/**
 * Finds the texts of the images of data, in their order.
 *
 * @param data - Path of the data; null for images in memory.
 * @param count - Number of the images.
 * @throws {@link DpmError} The errors of `readCaptions`; `ERR_DPM_FILE` naming a picture without a caption, `ERR_DPM_ARGUMENT`
 * for captions that are of another number of images.
 */
export async function textsOfImages(captions: GivenCaptions, data: string | null, count: number): Promise<ImageTexts> {
  const texts = typeof captions === 'string' ? await readTexts(captions, data, count) : captions;
  if (texts.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `captions are of ${texts.length} images, the data have ${count}`);
  }
  for (const [image, own] of texts.entries()) {
    const problem = own.map(problemOfText).find((each) => each !== null) ?? null;
    if (problem !== null) throw new DpmError('ERR_DPM_ARGUMENT', `captions of image ${image}: a text ${problem}`);
  }
  return texts;
}

async function readTexts(captions: string, data: string | null, count: number): Promise<ImageTexts> {
  const read = await readCaptions(captions);
  if (data === null || !(await isFolder(data)) || read.byIndex.size > 0) {
    return captionsOfImages(data ?? 'data', count, read).texts;
  }
  const { pictures } = await picturesOfFolder(data, false);
  return captionsOf(pictures, read, dirname(captions)).texts;
}
