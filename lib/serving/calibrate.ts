import { at } from '../base/arrays.js';

/** What a step takes by its number of rows, in milliseconds, ascending. */
export type Curve = readonly { readonly rows: number; readonly ms: number }[];

/** Sizes that are measured; cards make plans for these. */
const sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/** Share of the best throughput that `rows: 'auto'` reaches. */
const ENOUGH = 0.97;

/** Of two sizes in a row: that the throughput grows no more. */
const LITTLE = 1.01;

const throughput = ({ rows, ms }: Curve[number]): number => rows / ms;

/** The best throughput of a curve, in rows a millisecond. */
export function bestRate(curve: Curve): number {
  return curve.reduce((best, point) => Math.max(best, throughput(point)), 0);
}

/** Milliseconds of a step of `rows` rows: straight lines between what was measured, in proportion beyond. */
export function stepTime(curve: Curve, rows: number): number {
  const above = curve.findIndex((point) => point.rows >= rows);
  if (above < 0) {
    const last = at(curve, curve.length - 1);
    return (last.ms * rows) / last.rows;
  }
  const high = at(curve, above);
  if (above === 0 || high.rows === rows) return (high.ms * rows) / high.rows;
  const low = at(curve, above - 1);
  return low.ms + ((high.ms - low.ms) * (rows - low.rows)) / (high.rows - low.rows);
}

/** The smallest size with nearly the best throughput among those that take no longer than `stepTarget`; at least `least`. */
export function chooseRows(curve: Curve, stepTarget: number, least: number): number {
  const allowed = curve.filter(({ rows, ms }) => ms <= stepTarget || rows <= least);
  const best = bestRate(allowed);
  const chosen = allowed.find((point) => point.rows >= least && throughput(point) >= ENOUGH * best);
  return chosen?.rows ?? at(allowed, allowed.length - 1).rows;
}

/**
 * Measures steps of growing size until they take too long or their throughput grows no more.
 *
 * @param measure - Milliseconds of an evaluation of so many rows.
 * @param most - The largest size of interest.
 */
export async function measureCurve(
  measure: (rows: number) => Promise<number>,
  { stepTarget, most, least }: { stepTarget: number; most: number; least: number },
): Promise<Curve> {
  const curve: { rows: number; ms: number }[] = [];
  let best = 0;
  let stagnant = 0;
  for (const rows of [...sizes.filter((size) => size < most), Math.min(most, at(sizes, sizes.length - 1))]) {
    const point = { rows, ms: await measure(rows) };
    curve.push(point);
    stagnant = throughput(point) > LITTLE * best ? 0 : stagnant + 1;
    best = Math.max(best, throughput(point));
    if (rows >= least && (point.ms > stepTarget || stagnant === 2)) break;
  }
  return curve;
}

/** The same for a size that is given: itself and those below it that a curve needs. */
export async function measureUpTo(measure: (rows: number) => Promise<number>, most: number): Promise<Curve> {
  const wanted = [...new Set([1, Math.ceil(most / 4), Math.ceil(most / 2), most])];
  const curve: { rows: number; ms: number }[] = [];
  for (const rows of wanted) curve.push({ rows, ms: await measure(rows) });
  return curve;
}
