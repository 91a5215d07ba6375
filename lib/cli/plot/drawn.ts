import type { SeriesStyle } from './style.js';
import { coordinate, element } from './svg.js';

/** A line of a chart. */
export interface Series {
  label: string;
  /** Points in the order they are connected; the line has a gap where a value has no place on the axes. */
  points: readonly (readonly [x: number, y: number])[];
  /** Lines of one family have one colour, whose meaning the chart tells. Default: a colour of its own. */
  family?: string;
  /** Default false. */
  dashed?: boolean;
  /** True if the points are marked. Default false. */
  markers?: boolean;
  /** True for a line in grey, outside the sequence of colours, with which others are compared. Default false. */
  reference?: boolean;
}

/** The plot's edges; the names of lines are at its right. */
export const area = { left: 84, right: 690, top: 68, bottom: 472 };

/** A line of the chart as it is drawn. */
export interface DrawnSeries {
  series: Series;
  style: SeriesStyle;
  /** Places of the points, null for points without one. */
  places: ([x: number, y: number] | null)[];
}

export function markerAt(style: SeriesStyle, x: number, y: number): string {
  return element('path', {
    d: style.marker,
    transform: `translate(${coordinate(x)} ${coordinate(y)})`,
    fill: style.color,
    class: `marker ${style.classes.area}`,
    // Edges show the lower ones of markers that overlap.
    stroke: '#ffffff',
    'stroke-width': 0.8,
  });
}
