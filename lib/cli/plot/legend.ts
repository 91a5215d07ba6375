import { area, markerAt, type DrawnSeries } from './drawn.js';
import { coordinate, element, textElement } from './svg.js';

const legendStep = 20;

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

/** The name of a line, in its colour, with a thin line that leads to its end. */
function nameAtEnd({ series, style }: DrawnSeries, end: readonly [x: number, y: number], y: number): string {
  const [left, right] = [area.right + 10, area.right + 40];
  const { color, classes, dashes } = style;
  const line = { stroke: color, class: classes.line };
  const leader = element('path', {
    ...line,
    d: `M${coordinate(end[0])} ${coordinate(end[1])}L${left} ${coordinate(y)}`,
    fill: 'none',
    'stroke-width': 0.75,
    'stroke-opacity': '0.55',
  });
  const sample = element('line', {
    ...line,
    x1: left,
    x2: right,
    y1: y,
    y2: y,
    'stroke-width': 2,
    'stroke-dasharray': dashes,
  });
  const marker = series.markers === true ? markerAt(style, (left + right) / 2, y) : '';
  const name = textElement(shortened(series.label), { x: right + 8, y: y + 4, fill: color, class: classes.area });
  return leader + sample + marker + name;
}

/** Finds a line's rightmost point. */
function endOf({ places }: DrawnSeries): readonly [x: number, y: number] {
  const end = places.reduce((last, place) => (place !== null && place[0] >= (last?.[0] ?? 0) ? place : last), null);
  return end ?? [area.right, area.bottom];
}

/** The lines' names at the heights at which the lines end. */
export function legend(drawn: readonly DrawnSeries[]): string {
  const ends = drawn.map((each) => ({ each, end: endOf(each) }));
  ends.sort((a, b) => a.end[1] - b.end[1]);
  const heights = apart(ends.map(({ end }) => end[1]));
  const names = ends.map(({ each, end }, i) => nameAtEnd(each, end, heights[i] ?? area.bottom));
  return element('g', { class: 'legend' }, ...names);
}
