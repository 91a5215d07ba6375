import font from 'oled-font-5x7';

import { DpmError } from '../base/errors.js';
import { shownValue } from '../base/text.js';
import type { ImageShape } from './layout.js';

const LETTER = { width: 5, height: 7, advance: 6 };

/** Margin above the text, and below it. */
const MARGIN = 1;

const WHITE = 255;

/** Tells whether the font sets the pixel of a letter; letters that it lacks are blank. */
function isSet(letter: string, column: number, row: number): boolean {
  const place = font.lookup.indexOf(letter);
  return place >= 0 && (((font.fontData[place * LETTER.width + column] ?? 0) >> row) & 1) === 1;
}

/** Sets the pixels of a text, whose left end is at `left`; parts beyond the width are cut. */
function draw(text: string, width: number, set: (x: number, y: number) => void): void {
  const room = Math.floor((width + 1) / LETTER.advance);
  const letters = Array.from(text).slice(0, room);
  const left = Math.floor((width - letters.length * LETTER.advance + 1) / 2);
  for (const [index, letter] of letters.entries()) {
    for (let column = 0; column < LETTER.width; ++column) {
      for (let row = 0; row < LETTER.height; ++row) {
        if (isSet(letter, column, row)) set(left + index * LETTER.advance + column, row);
      }
    }
  }
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
  const tall = height + LETTER.height + 2 * MARGIN;
  const levels = new Uint8Array(count * channels * tall * width);
  for (let plane = 0; plane < count * channels; ++plane) {
    levels.set(source.subarray(plane * height * width, (plane + 1) * height * width), plane * tall * width);
    const label = labels[Math.floor(plane / channels)];
    if (label === undefined) continue;
    if (typeof label !== 'string' && typeof label !== 'number') {
      throw new DpmError('ERR_DPM_ARGUMENT', `a label is ${shownValue(label)}, it has to be a text or a number`);
    }
    draw(String(label), width, (x, y) => {
      levels[(plane * tall + height + MARGIN + y) * width + x] = WHITE;
    });
  }
  return { levels, shape: [count, channels, tall, width] };
}
