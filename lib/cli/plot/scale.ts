import { format } from 'd3-format';
import { scaleLinear, scaleLog } from 'd3-scale';

import { DpmError } from '../../base/errors.js';

export interface Axis {
  label: string;
  scale: 'linear' | 'log';
  /** Values that get a mark. Default: round ones. */
  ticks?: readonly number[];
}

/** A value's place, and the marks of an axis. */
export interface Scale {
  place: (value: number) => number;
  ticks: { value: number; label: string }[];
}

/** Limit beyond which arithmetic with the ends of an axis may overflow. */
const largest = 1e100;

/** Tells whether an axis can show a value: a finite one, and on a logarithmic axis a positive one. */
export function isPlaceable(axis: Axis, value: number): boolean {
  return Math.abs(value) <= largest && (axis.scale === 'linear' || value >= 1 / largest);
}

const plain = format('~r');
const scientific = format('.3~e');

/** Writes 0.001 and 20000 as they are, 1e-5 with an exponent. */
function tickLabel(value: number): string {
  const size = Math.abs(value);
  const rounded = Number(value.toPrecision(6));
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? scientific(rounded) : plain(rounded);
}

/** Finds the smallest interval of all values, with room around values that differ only by rounding. */
function extent(axis: Axis, values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const size = Math.max(Math.abs(low), Math.abs(high), 1 / largest);
  if (high - low > 1e-9 * size) return [low, high];
  if (axis.scale === 'log') return [low / 2, high * 2];
  const room = size > 1 / largest ? size / 2 : 1;
  return [low - room, high + room];
}

function mantissa(value: number): number {
  return Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
}

/** The interval widened to 1, 2 or 5 times a power of 10. */
function niceLogarithmic([low, high]: [number, number]): [number, number] {
  const steps = [1, 2, 5, 10].map((step) => step * 10 ** Math.floor(Math.log10(low)));
  const ends = [1, 2, 5, 10].map((step) => step * 10 ** Math.floor(Math.log10(high)));
  const tolerance = 1 + 1e-9;
  return [
    steps.findLast((step) => step <= low * tolerance) ?? low,
    ends.find((end) => end * tolerance >= high) ?? high,
  ];
}

/** The marks of a logarithmic axis: all tenths of a few decades, of more the powers alone. */
function logarithmicTicks(all: readonly number[], [low, high]: [number, number]): Scale['ticks'] {
  const decades = Math.log10(high / low);
  const labelled = decades <= 2.5 ? [1, 2, 5] : [1];
  return all
    .filter((value) => decades <= 4 || mantissa(value) === 1)
    .map((value) => ({ value, label: labelled.includes(mantissa(value)) ? tickLabel(value) : '' }));
}

/** Makes the scale of values that can be placed, or of chosen marks, which then set the ends of the axis, too. */
export function scaleOf(name: string, axis: Axis, values: readonly number[], range: [number, number]): Scale {
  const placeable = values.filter((value) => isPlaceable(axis, value));
  if (placeable.length === 0) {
    const needed = axis.scale === 'log' ? 'positive numbers' : 'numbers';
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `a chart needs ${needed} on its ${name} axis (${axis.label}), there are none`,
    );
  }
  const exact = extent(axis, placeable);
  const chosen = axis.ticks
    ?.filter((value) => isPlaceable(axis, value))
    .map((value) => ({ value, label: tickLabel(value) }));
  if (axis.scale === 'linear') {
    const scale = scaleLinear(exact, range);
    if (chosen === undefined) scale.nice();
    const round = (): Scale['ticks'] => scale.ticks(8).map((value) => ({ value, label: tickLabel(value) }));
    return { place: (value) => scale(value), ticks: chosen ?? round() };
  }
  const domain = chosen === undefined ? niceLogarithmic(exact) : exact;
  const scale = scaleLog(domain, range);
  return { place: (value) => scale(value), ticks: chosen ?? logarithmicTicks(scale.ticks(), domain) };
}
