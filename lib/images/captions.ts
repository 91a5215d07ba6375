import font from 'oled-font-5x7';

import { DpmError } from '../base/errors.js';
import { shownValue } from '../base/text.js';
import type { ImageShape } from './layout.js';

const LETTER = { width: 5, height: 7, advance: 6 };

/** Margin above the text, and below it, in dots. */
const MARGIN = 1;

const WHITE = 255;

/** Tells whether the font sets the pixel of a letter; letters that it lacks are blank. */
function isSet(letter: string, column: number, row: number): boolean {
  const place = font.lookup.indexOf(letter);
  return place >= 0 && (((font.fontData[place * LETTER.width + column] ?? 0) >> row) & 1) === 1;
}

/** Width of pictures, in pixels, from which on letters are twice as large, three times from three times that on, and so on. */
const WIDTH_OF_SIZE = 56;

/** Number of letters of a size that a width has room for. */
function roomFor(width: number, size: number): number {
  return Math.floor((width + size) / (LETTER.advance * size));
}

/** Chooses the pixels of a letter's dot along each side: as many as suit the picture and leave the longest text whole. */
function letterSize(width: number, longest: number): number {
  let size = Math.max(1, Math.floor(width / WIDTH_OF_SIZE));
  while (size > 1 && roomFor(width, size) < longest) --size;
  return size;
}

/** Sets the pixels of a text in the middle of the width; parts beyond the width are cut. */
function draw(text: string, width: number, size: number, set: (x: number, y: number) => void): void {
  const letters = Array.from(text).slice(0, roomFor(width, size));
  const left = Math.floor((width - (letters.length * LETTER.advance - 1) * size) / 2);
  for (const [index, letter] of letters.entries()) {
    for (let x = 0; x < LETTER.width * size; ++x) {
      for (let y = 0; y < LETTER.height * size; ++y) {
        if (isSet(letter, Math.floor(x / size), Math.floor(y / size))) set(left + index * LETTER.advance * size + x, y);
      }
    }
  }
}

function textOf(label: unknown): string {
  if (typeof label === 'string' || typeof label === 'number') return String(label);
  throw new DpmError('ERR_DPM_ARGUMENT', `a label is ${shownValue(label)}, it has to be a text or a number`);
}

/** Makes levels of images with a text below each, white on black, and their shape. */
export function captioned(
  source: Uint8Array,
  [count, channels, height, width]: ImageShape,
  labels: ArrayLike<unknown>,
): { levels: Uint8Array; shape: ImageShape } {
  if (labels.length > count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `labels has ${labels.length} texts for ${count} images`);
  }
  const texts = Array.from(labels, (label) => (label === undefined ? '' : textOf(label)));
  const size = letterSize(width, Math.max(0, ...texts.map((text) => Array.from(text).length)));
  const tall = height + (LETTER.height + 2 * MARGIN) * size;
  const levels = new Uint8Array(count * channels * tall * width);
  for (let plane = 0; plane < count * channels; ++plane) {
    levels.set(source.subarray(plane * height * width, (plane + 1) * height * width), plane * tall * width);
    draw(texts[Math.floor(plane / channels)] ?? '', width, size, (x, y) => {
      levels[(plane * tall + height + MARGIN * size + y) * width + x] = WHITE;
    });
  }
  return { levels, shape: [count, channels, tall, width] };
}
