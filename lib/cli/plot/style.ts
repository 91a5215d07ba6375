import {
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
} from 'd3-shape';

import { at } from '../../base/arrays.js';

/** Style of a line. */
export interface SeriesStyle {
  color: string;
  /** The value of `stroke-dasharray`; absent: solid. */
  dashes: string | undefined;
  /** Path of the marker around the origin. */
  marker: string;
}

/** The colours of Okabe & Ito 2008 that show on white. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];

/** Dashes that tell lines of one colour apart. */
const dashesOfRounds: readonly (string | undefined)[] = [undefined, '9 3', '3 3', '9 3 2 3'];

/** Markers; consecutive lines differ in colour and marker, so that overlapping lines are told apart, too. */
const markers = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond, symbolCross, symbolStar, symbolWye].map(
  (shape) => symbol(shape, 48).digits(2)() ?? '',
);

/** The style of the line with this number, at most 28 different ones; null: of a reference. */
export function seriesStyle(index: number | null, dashed: boolean): SeriesStyle {
  const place = index ?? 0;
  const round = Math.floor(place / colors.length) % dashesOfRounds.length;
  const color = index === null ? '#777777' : at(colors, place % colors.length);
  const dashes = dashed ? '5 5' : dashesOfRounds[round];
  return { color, dashes, marker: at(markers, (place + round) % markers.length) };
}
