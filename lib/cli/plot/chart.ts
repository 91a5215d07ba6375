import { line } from 'd3-shape';

import { isPlaceable, scaleOf, type Axis, type Scale } from './scale.js';
import { seriesStyle, type SeriesStyle } from './style.js';
import { coordinate, element, textElement } from './svg.js';

/** A line of a chart. */
export interface Series {
  label: string;
  /** Points in the order they are connected; the line has a gap where a value has no place on the axes. */
  points: readonly (readonly [x: number, y: number])[];
  /** Default false. */
  dashed?: boolean;
  /** True if the points are marked. Default false. */
  markers?: boolean;
  /** True for a line in grey, outside the sequence of colours, with which others are compared. Default false. */
  reference?: boolean;
}

export interface Chart {
  title: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
}

const width = 960;
const height = 540;
/** The plot's edges; the legend is at its right. */
const area = { left: 84, right: 690, top: 52, bottom: 472 };
const legendStep = 20;
const ink = '#222222';
const gridInk = '#e3e3e3';

/** Minimum distance of two labels of the x axis. */
const labelRoom = 30;

function xAxis(axis: Axis, { place, ticks }: Scale): string {
  let free = -Infinity;
  const marks = ticks.map(({ value, label }) => {
    const x = place(value);
    const grid = element('line', { x1: x, x2: x, y1: area.top, y2: area.bottom, stroke: gridInk });
    if (label === '' || x < free) return grid;
    free = x + labelRoom;
    return grid + textElement(label, { x, y: area.bottom + 20, 'text-anchor': 'middle' });
  });
  const middle = (area.left + area.right) / 2;
  const title = textElement(axis.label, { x: middle, y: height - 22, 'text-anchor': 'middle', 'font-size': 14 });
  return element('g', { class: 'x-axis', fill: ink }, ...marks, title);
}

function yAxis(axis: Axis, { place, ticks }: Scale): string {
  const marks = ticks.map(({ value, label }) => {
    const y = place(value);
    const grid = element('line', { x1: area.left, x2: area.right, y1: y, y2: y, stroke: gridInk });
    if (label === '') return grid;
    return grid + textElement(label, { x: area.left - 8, y: y + 4, 'text-anchor': 'end' });
  });
  const middle = (area.top + area.bottom) / 2;
  const title = textElement(axis.label, {
    transform: `translate(22 ${middle}) rotate(-90)`,
    'text-anchor': 'middle',
    'font-size': 14,
  });
  return element('g', { class: 'y-axis', fill: ink }, ...marks, title);
}

/** A line of the chart as it is drawn. */
interface DrawnSeries {
  series: Series;
  style: SeriesStyle;
  /** Places of the points, null for points without one. */
  places: ([x: number, y: number] | null)[];
}

function pathOf({ places, style }: DrawnSeries): string {
  const draw = line<[number, number] | null>()
    .defined((place) => place !== null)
    .x((place) => place?.[0] ?? 0)
    .y((place) => place?.[1] ?? 0)
    .digits(2);
  return element('path', {
    d: draw(places) ?? '',
    fill: 'none',
    stroke: style.color,
    'stroke-width': 2,
    'stroke-linejoin': 'round',
    'stroke-dasharray': style.dashes,
  });
}

function markerAt(style: SeriesStyle, x: number, y: number): string {
  return element('path', {
    d: style.marker,
    transform: `translate(${coordinate(x)} ${coordinate(y)})`,
    fill: style.color,
    // Edges show the lower ones of markers that overlap.
    stroke: '#ffffff',
    'stroke-width': 0.8,
  });
}

/** A point without neighbours would not be seen without its marker. */
function isAlone(places: DrawnSeries['places'], i: number): boolean {
  return (places[i - 1] ?? null) === null && (places[i + 1] ?? null) === null;
}

function drawnLine(drawn: DrawnSeries): string {
  const { places, style, series } = drawn;
  const markers = places.map((place, i) =>
    place !== null && (series.markers === true || isAlone(places, i)) ? markerAt(style, ...place) : '',
  );
  return element('g', { class: 'series' }, pathOf(drawn), ...markers);
}

function isReference({ series }: DrawnSeries): boolean {
  return series.reference === true;
}

/** Spreads heights at least a step apart inside the area, as near as possible to the ascending wished ones. */
function apart(wished: readonly number[]): number[] {
  const heights = [...wished];
  const step = Math.min(legendStep, (area.bottom - area.top) / Math.max(wished.length - 1, 1));
  for (let i = 0; i < heights.length; ++i) {
    heights[i] = Math.max(heights[i] ?? 0, i === 0 ? area.top : (heights[i - 1] ?? 0) + step);
  }
  let limit = area.bottom;
  for (let i = heights.length - 1; i >= 0; --i) {
    heights[i] = Math.min(heights[i] ?? 0, limit);
    limit = (heights[i] ?? 0) - step;
  }
  return heights;
}

/** Maximum number of characters of a name in the legend. */
const longestName = 34;

function shortened(name: string): string {
  const characters = Array.from(name);
  return characters.length <= longestName ? name : `${characters.slice(0, longestName - 1).join('')}\u2026`;
}

function legendEntry({ series, style }: DrawnSeries, y: number): string {
  const [left, right] = [area.right + 14, area.right + 44];
  const sample = element('line', {
    x1: left,
    x2: right,
    y1: y,
    y2: y,
    stroke: style.color,
    'stroke-width': 2,
    'stroke-dasharray': style.dashes,
  });
  const marker = series.markers === true ? markerAt(style, (left + right) / 2, y) : '';
  return sample + marker + textElement(shortened(series.label), { x: right + 8, y: y + 4, fill: ink });
}

/** Finds the height of a line's rightmost point. */
function endOf({ places }: DrawnSeries): number {
  const end = places.reduce((last, place) => (place !== null && place[0] >= (last?.[0] ?? 0) ? place : last), null);
  return end?.[1] ?? area.bottom;
}

/** The lines' names at the heights at which the lines end. */
function legend(drawn: readonly DrawnSeries[]): string {
  const ends = drawn.map((each) => ({ each, y: endOf(each) }));
  ends.sort((a, b) => a.y - b.y);
  const heights = apart(ends.map(({ y }) => y));
  return element('g', { class: 'legend' }, ...ends.map(({ each }, i) => legendEntry(each, heights[i] ?? area.bottom)));
}

/**
 * Draws a line chart as SVG: white background, axes with a grid, the lines' names at their right ends in colours that
 * colour-blind people can tell apart. The same chart gives the same text.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if an axis has no value it can show.
 */
export function lineChart({ title, x, y, series }: Chart): string {
  const points = series.flatMap((each) => each.points);
  const shown = points.filter(([px, py]) => isPlaceable(x, px) && isPlaceable(y, py));
  const horizontal = scaleOf('x', x, [...shown.map(([px]) => px), ...(x.ticks ?? [])], [area.left, area.right]);
  const vertical = scaleOf('y', y, [...shown.map(([, py]) => py), ...(y.ticks ?? [])], [area.bottom, area.top]);
  let colored = 0;
  const drawn = series.map((each): DrawnSeries => ({
    series: each,
    style: seriesStyle(each.reference === true ? null : colored++, each.dashed ?? false),
    places: each.points.map(([px, py]) =>
      isPlaceable(x, px) && isPlaceable(y, py) ? [horizontal.place(px), vertical.place(py)] : null,
    ),
  }));
  const frame = {
    x: area.left,
    y: area.top,
    width: area.right - area.left,
    height: area.bottom - area.top,
    fill: 'none',
    stroke: '#888888',
  };
  return (
    element(
      'svg',
      {
        xmlns: 'http://www.w3.org/2000/svg',
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        'font-family': 'Helvetica, Arial, sans-serif',
        'font-size': 12,
      },
      element('rect', { width, height, fill: '#ffffff' }),
      textElement(title, { x: area.left, y: 30, 'font-size': 17, 'font-weight': 'bold', fill: ink }),
      xAxis(x, horizontal),
      yAxis(y, vertical),
      element('rect', frame),
      // Reference lines lie below the others.
      ...[...drawn.filter(isReference), ...drawn.filter((each) => !isReference(each))].map(drawnLine),
      legend(drawn),
    ) + '\n'
  );
}
