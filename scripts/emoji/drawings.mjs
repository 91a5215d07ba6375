// Drawings as pixels, and how they come into a picture.
import { drawingsOf, renderer, styles } from './packages.mjs';

/** Pixels of a drawing, RGBA with colours multiplied by alpha. */
function rendered(Resvg, svg, side) {
  const options = { fitTo: { mode: 'width', value: side }, font: { loadSystemFonts: false } };
  const { pixels } = new Resvg(svg, options).render();
  // Two drawings are a little higher than wide.
  return pixels.subarray(0, 4 * side * side);
}

/**
 * Draws emoji in all styles, at `side` pixels: each with its emoji and style. One that a style has not is left out there.
 *
 * @param progress - Told the style before its drawings.
 * @param isDrawn - Tells whether an emoji is drawn; others have no pixels.
 */
export function drawAll(emoji, side, progress, isDrawn = () => true) {
  const Resvg = renderer();
  return Object.keys(styles).flatMap((style) => {
    progress(style);
    const svgOf = drawingsOf(style);
    return emoji.flatMap((each) => {
      const svg = svgOf(each);
      if (svg === undefined) return [];
      return [{ emoji: each, style, side, pixels: isDrawn(each) ? rendered(Resvg, svg, side) : null }];
    });
  });
}

/** Which source pixels are below each pixel of a line, and with what weights, where `from` pixels become `to` at `start`. */
function coverage(from, to, start, size) {
  const step = from / to;
  const places = [];
  for (let x = Math.max(0, Math.floor(start)); x < Math.min(size, Math.ceil(start + to)); ++x) {
    const [low, high] = [Math.max(0, (x - start) * step), Math.min(from, (x + 1 - start) * step)];
    const parts = [];
    for (let i = Math.floor(low); i < high; ++i) parts.push([i, (Math.min(high, i + 1) - Math.max(low, i)) / step]);
    places.push([x, parts]);
  }
  return places;
}

/** Brings the columns of a drawing to those of the picture: RGBA of each source row. */
function narrowed({ side, pixels }, columns) {
  const rows = new Float64Array(side * columns.length * 4);
  for (let y = 0; y < side; ++y) {
    columns.forEach(([, parts], column) => {
      const at = 4 * (y * columns.length + column);
      for (const [i, weight] of parts) {
        const from = 4 * (y * side + i);
        for (let c = 0; c < 4; ++c) rows[at + c] += weight * pixels[from + c];
      }
    });
  }
  return rows;
}

/** Puts a drawing into a picture, planes of red, green and blue, by the area that each of its pixels covers there. */
export function paint(picture, size, drawing, { side, left, top }) {
  const columns = coverage(drawing.side, side, left, size);
  const rows = narrowed(drawing, columns);
  const sum = [0, 0, 0, 0];
  for (const [y, parts] of coverage(drawing.side, side, top, size)) {
    columns.forEach(([x], column) => {
      sum.fill(0);
      for (const [i, weight] of parts) {
        const from = 4 * (i * columns.length + column);
        for (let c = 0; c < 4; ++c) sum[c] += weight * rows[from + c];
      }
      for (let c = 0; c < 3; ++c) {
        const at = (c * size + y) * size + x;
        picture[at] = Math.round(Math.min(255, sum[c] + picture[at] * (1 - sum[3] / 255)));
      }
    });
  }
}
