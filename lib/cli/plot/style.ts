import { symbol, symbolCircle, symbolDiamond, symbolSquare, symbolTriangle } from 'd3-shape';

import { at } from '../../base/arrays.js';

/** How a line is drawn. */
export interface SeriesStyle {
  color: string;
  /** The value of `stroke-dasharray`; absent: solid. */
  dashes: string | undefined;
  /** Path of its marker around the origin. */
  marker: string;
}

/** The colours of Okabe & Ito 2008 that show on white. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];

/** Lines of one colour differ in dashes and markers. */
const rounds: readonly { dashes: string | undefined; marker: string }[] = [
  [undefined, symbolCircle] as const,
  ['9 3', symbolSquare] as const,
  ['3 3', symbolTriangle] as const,
  ['9 3 2 3', symbolDiamond] as const,
].map(([dashes, shape]) => ({ dashes, marker: symbol(shape, 42).digits(2)() ?? '' }));

/** The style of the line with this number, at most 28 different ones; null: of a reference. */
export function seriesStyle(index: number | null, dashed: boolean): SeriesStyle {
  const place = index ?? 0;
  const { dashes, marker } = at(rounds, Math.floor(place / colors.length) % rounds.length);
  const color = index === null ? '#777777' : at(colors, place % colors.length);
  return { color, dashes: dashed ? '5 5' : dashes, marker };
}
