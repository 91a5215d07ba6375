// Tells what a picture shows by the drawings that it is nearest to, wherever they may lie: it needs no training, and no style is
// hidden from it.
import { colours, paintAt, placesOf } from '../../../scripts/emoji/compose.mjs';
import { common } from '../../../scripts/emoji/common.mjs';
import { drawAll } from '../../../scripts/emoji/drawings.mjs';
import { install, readEmoji } from '../../../scripts/emoji/packages.mjs';
import { reduced } from './judges.mjs';

/** Pixels of a side at which pictures and drawings are compared. */
const SIDE = 32;

/** Columns and rows of a corner, by whose mean the background is told. */
const CORNER = 2;

/** The drawings that make-emoji.mjs --common shows. */
export function commonDrawings() {
  install();
  const report = (style) => console.error(`drawing emoji, ${style} style`);
  const all = drawAll(readEmoji(), 2 * SIDE, report, ({ label }) => common.has(label));
  return all.filter(({ pixels }) => pixels !== null);
}

/** Name of the colour that is nearest to the corners of a picture, values [3, SIDE, SIDE]. */
function backgroundOf(values) {
  const ends = [...Array(CORNER).keys()].flatMap((i) => [i, SIDE - 1 - i]);
  const means = [0, 1, 2].map((c) => {
    const own = ends.flatMap((y) => ends.map((x) => values[(c * SIDE + y) * SIDE + x]));
    return own.reduce((sum, value) => sum + value) / own.length;
  });
  const distance = (colour) => colour.reduce((sum, level, c) => sum + (level / 127.5 - 1 - means[c]) ** 2, 0);
  return Object.entries(colours).reduce((best, each) => (distance(each[1]) < distance(best[1]) ? each : best))[0];
}

/** A part of a picture: all of it, or its left or right half. */
function partOf(values, columns, from) {
  const rows = 3 * SIDE;
  const part = new Float32Array(rows * columns);
  for (let row = 0; row < rows; ++row) {
    part.set(values.subarray(row * SIDE + from, row * SIDE + from + columns), row * columns);
  }
  return part;
}

/** Each drawing on a background at all of its places, as values [3, SIDE, columns]. */
function candidatesOf(drawings, colour, columns) {
  const places = [...placesOf(SIDE, columns < SIDE)];
  return drawings.map((drawing) => {
    const painted = places.map((place) => {
      const values = Float32Array.from(paintAt(SIDE, colour, [{ drawing, place }]), (level) => level / 127.5 - 1);
      return partOf(values, columns, 0);
    });
    return { emoji: drawing.emoji.hexcode, style: drawing.style, painted };
  });
}

function leastDistance(values, painted) {
  let least = Infinity;
  for (const other of painted) {
    let sum = 0;
    for (let i = 0; i < values.length; ++i) {
      const difference = values[i] - other[i];
      sum += difference * difference;
    }
    if (sum < least) least = sum;
  }
  return least;
}

/** Emoji of the nearest drawings, the nearest first, and the style of the first. */
function nearestOf(values, candidates) {
  const near = candidates
    .map(({ emoji, style, painted }) => ({ emoji, style, distance: leastDistance(values, painted) }))
    .sort((a, b) => a.distance - b.distance);
  return { emoji: [...new Set(near.map(({ emoji }) => emoji))], style: near[0].style };
}

/**
 * Judges pictures by drawings: of each its background, and of each part (one, or the left and the right half) the emoji, the most
 * likely first, and the style.
 *
 * @param drawings - Those that pictures may show, as {@link commonDrawings} gives them.
 * @param values - Pictures in [-1, 1], of sides that are a multiple of 32.
 * @param {number[]} parts - Number of parts of each picture, 1 or 2.
 */
export function judgeByDrawings(drawings, values, shape, parts) {
  const small = reduced(values, shape, SIDE);
  const pictures = parts.map((count, i) => {
    const own = small.subarray(i * 3 * SIDE ** 2, (i + 1) * 3 * SIDE ** 2);
    return { own, count, background: backgroundOf(own) };
  });
  // All drawings on all backgrounds would take gigabytes.
  for (const colour of new Set(pictures.map(({ background }) => background))) {
    for (const count of new Set(parts)) {
      const columns = SIDE / count;
      const asked = pictures.filter((picture) => picture.background === colour && picture.count === count);
      const candidates = asked.length === 0 ? [] : candidatesOf(drawings, colour, columns);
      for (const picture of asked) {
        const halves = [...Array(count).keys()].map((i) => partOf(picture.own, columns, i * columns));
        picture.parts = halves.map((half) => nearestOf(half, candidates));
      }
    }
  }
  return pictures.map(({ background, parts: shown }) => ({ background, parts: shown }));
}
