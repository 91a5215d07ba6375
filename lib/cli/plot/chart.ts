import { area as areaShape, line } from 'd3-shape';

import { at } from '../../base/arrays.js';
import { area, markerAt, type DrawnSeries, type Series } from './drawn.js';
import { legend } from './legend.js';
import { isPlaceable, scaleOf, type Axis, type Scale } from './scale.js';
import { colorOf, darkStyle, referenceStyle, seriesStyle, type SeriesStyle } from './style.js';
import { element, escapeText, textElement } from './svg.js';

export interface Chart {
  title: string;
  x: Axis;
  y: Axis;
  series: readonly Series[];
  /** Labels of two lines with the same points on the x axis, between which the ground is shaded. */
  between?: readonly [low: string, high: string];
}

const width = 960;
const height = 540;
/** Minimum distance of two labels of the x axis. */
const labelRoom = 30;

function xAxis(axis: Axis, { place, ticks }: Scale): string {
  let free = -Infinity;
  const marks = ticks.map(({ value, label }) => {
    const x = place(value);
    const grid = element('line', {
      x1: x,
      x2: x,
      y1: area.top,
      y2: area.bottom,
      stroke: colorOf('grid'),
      class: 'grid',
    });
    if (label === '' || x < free) return grid;
    free = x + labelRoom;
    return grid + textElement(label, { x, y: area.bottom + 20, 'text-anchor': 'middle', class: 'ink' });
  });
  const middle = (area.left + area.right) / 2;
  const title = textElement(axis.label, {
    x: middle,
    y: height - 22,
    'text-anchor': 'middle',
    'font-size': 14,
    class: 'ink',
  });
  return element('g', { class: 'x-axis', fill: colorOf('ink') }, ...marks, title);
}

function yAxis(axis: Axis, { place, ticks }: Scale): string {
  const marks = ticks.map(({ value, label }) => {
    const y = place(value);
    const grid = element('line', {
      x1: area.left,
      x2: area.right,
      y1: y,
      y2: y,
      stroke: colorOf('grid'),
      class: 'grid',
    });
    if (label === '') return grid;
    return grid + textElement(label, { x: area.left - 8, y: y + 4, 'text-anchor': 'end', class: 'ink' });
  });
  const middle = (area.top + area.bottom) / 2;
  const title = textElement(axis.label, {
    transform: `translate(22 ${middle}) rotate(-90)`,
    'text-anchor': 'middle',
    'font-size': 14,
    class: 'ink',
  });
  return element('g', { class: 'y-axis', fill: colorOf('ink') }, ...marks, title);
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
    class: style.classes.line,
    'stroke-width': 2,
    'stroke-linejoin': 'round',
    'stroke-dasharray': style.dashes,
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

/** Shades the ground between two lines, so that bounds are seen where lines run along them. */
function shaded(drawn: readonly DrawnSeries[], between: Chart['between']): string {
  const [low, high] = (between ?? []).map((label) => drawn.find(({ series }) => series.label === label)?.places);
  if (low === undefined || high === undefined) return '';
  const pairs = low.map((place, i) => [place, high[i] ?? null] as const);
  const shape = areaShape<(typeof pairs)[number]>()
    .defined(([below, above]) => below !== null && above !== null)
    .x(([below]) => below?.[0] ?? 0)
    .y0(([below]) => below?.[1] ?? 0)
    .y1(([, above]) => above?.[1] ?? 0)
    .digits(2);
  const { color, classes } = referenceStyle();
  const attributes = { class: classes.area, fill: color, 'fill-opacity': '0.14' };
  return element('path', { d: shape(pairs) ?? '', ...attributes });
}

/** Numbers of the colours of lines, by family; a line without one is a family of its own. */
function styled(series: readonly Series[]): SeriesStyle[] {
  const families: string[] = [];
  const members = new Map<string, number>();
  return series.map(({ label, family, reference = false, dashed = false }, index) => {
    if (reference) return referenceStyle();
    const name = family === undefined ? `${index} ${label}` : `family ${family}`;
    if (!families.includes(name)) families.push(name);
    const place = members.get(name) ?? 0;
    members.set(name, place + 1);
    return seriesStyle(families.indexOf(name), place, dashed);
  });
}

/** Tells what colours mean, below the title. */
function familyKey(drawn: readonly DrawnSeries[]): string {
  const known = new Map(
    drawn.flatMap(({ series: { family }, style }) => (family === undefined ? [] : [[family, style]])),
  );
  const spans = [...known].map(([family, { color, classes }], i) =>
    element('tspan', { fill: color, class: classes.area, dx: i === 0 ? undefined : 14 }, escapeText(family)),
  );
  if (spans.length === 0) return '';
  return element('text', { class: 'families', x: area.left, y: 52, 'font-weight': 'bold' }, ...spans);
}

/**
 * Draws a line chart as SVG, on white, or on a dark ground for viewers who want that: axes with a grid, and the names of lines at
 * their ends, in colours that colour-blind people can tell apart. The same chart gives the same text.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if an axis has no value it can show.
 */
export function lineChart({ title, x, y, series, between }: Chart): string {
  const points = series.flatMap((each) => each.points);
  const shown = points.filter(([px, py]) => isPlaceable(x, px) && isPlaceable(y, py));
  const horizontal = scaleOf('x', x, [...shown.map(([px]) => px), ...(x.ticks ?? [])], [area.left, area.right]);
  const vertical = scaleOf('y', y, [...shown.map(([, py]) => py), ...(y.ticks ?? [])], [area.bottom, area.top]);
  const styles = styled(series);
  const drawn = series.map((each, i): DrawnSeries => ({
    series: each,
    style: at(styles, i),
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
    stroke: colorOf('frame'),
    class: 'frame',
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
      element('style', {}, darkStyle()),
      element('rect', { width, height, fill: colorOf('page'), class: 'page' }),
      textElement(title, {
        x: area.left,
        y: 30,
        'font-size': 17,
        'font-weight': 'bold',
        fill: colorOf('ink'),
        class: 'ink',
      }),
      familyKey(drawn),
      xAxis(x, horizontal),
      yAxis(y, vertical),
      shaded(drawn, between),
      element('rect', frame),
      // Reference lines lie below the others.
      ...[...drawn.filter(isReference), ...drawn.filter((each) => !isReference(each))].map(drawnLine),
      legend(drawn),
    ) + '\n'
  );
}
