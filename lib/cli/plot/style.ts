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
  /** Class of lines, and of areas and texts, of the colour: a dark ground gives them another one. */
  classes: { line: string; area: string };
  /** The value of `stroke-dasharray`; absent: solid. */
  dashes: string | undefined;
  /** Path of the marker around the origin. */
  marker: string;
}

/** Colours after Okabe & Ito 2008, dark enough for texts on white, and lighter ones for a dark ground. */
const colors = [
  ['#0072b2', '#4fb0ea'],
  ['#b84a00', '#ff8f4a'],
  ['#007a59', '#2ed3a4'],
  ['#a3437b', '#e79cc7'],
  ['#8a5d00', '#f0b429'],
  ['#000000', '#f0f0f0'],
  ['#7b4fb5', '#b794f4'],
] as const;

/** The colours of what is no line: on white and on a dark ground. */
const groundColors = {
  page: ['#ffffff', '#0d1117'],
  ink: ['#222222', '#e6edf3'],
  grid: ['#e3e3e3', '#2a3038'],
  frame: ['#888888', '#6e7681'],
  reference: ['#6a6a6a', '#a3acb7'],
} as const;

/** The colour of a part on white. */
export function colorOf(part: keyof typeof groundColors): string {
  return groundColors[part][0];
}

/** The style sheet of a chart: what a viewer who wants a dark ground sees. */
export function darkStyle(): string {
  const { page, ink, grid, frame, reference } = groundColors;
  const rules = [
    `.page{fill:${page[1]}}.ink{fill:${ink[1]}}.grid{stroke:${grid[1]}}.frame{stroke:${frame[1]}}`,
    `.marker{stroke:${page[1]}}.line-r{stroke:${reference[1]}}.area-r{fill:${reference[1]}}`,
    ...colors.map(([, dark], i) => `.line-${i}{stroke:${dark}}.area-${i}{fill:${dark}}`),
  ];
  return `@media (prefers-color-scheme:dark){${rules.join('')}}`;
}

/** Dashes that tell lines of one colour apart. */
const dashesOfRounds: readonly (string | undefined)[] = [undefined, '9 3', '3 3', '9 3 2 3'];

/** Markers; consecutive lines differ in colour and marker, so that overlapping lines are told apart, too. */
const markers = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond, symbolCross, symbolStar, symbolWye].map(
  (shape) => symbol(shape, 48).digits(2)() ?? '',
);

/** The style of a reference line. */
export function referenceStyle(): SeriesStyle {
  const classes = { line: 'line-r', area: 'area-r' };
  return { color: groundColors.reference[0], classes, dashes: '5 5', marker: at(markers, 0) };
}

/**
 * The style of a line: 28 of them differ.
 *
 * @param color - Number of its colour, that of its family.
 * @param place - Its place among the lines of that colour.
 */
export function seriesStyle(color: number, place: number, dashed: boolean): SeriesStyle {
  const index = color % colors.length;
  const round = (Math.floor(color / colors.length) + place) % dashesOfRounds.length;
  return {
    color: at(colors, index)[0],
    classes: { line: `line-${index}`, area: `area-${index}` },
    dashes: dashed ? '5 5' : dashesOfRounds[round],
    marker: at(markers, (color + Math.floor(color / colors.length) + place) % markers.length),
  };
}
