import { at } from '../base/arrays.js';
import { median } from '../base/quantile.js';

/** Milliseconds of a step by its number of rows, ascending. */
export type Curve = readonly { readonly rows: number; readonly ms: number }[];

/** Numbers of rows that are measured; cards make plans for these. */
const sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/** Share of the best throughput that `rows: 'auto'` reaches. */
const ENOUGH = 0.97;

/** Growth factor of throughput below which larger sizes gain nothing; three such sizes in a row end the measurement. */
const LITTLE = 1.01;

const throughput = ({ rows, ms }: Curve[number]): number => rows / ms;

/** Finds the best throughput of a curve, in rows per millisecond. */
export function bestRate(curve: Curve): number {
  return curve.reduce((best, point) => Math.max(best, throughput(point)), 0);
}

/** Estimates the milliseconds of a step of `rows` rows: interpolated linearly, in proportion beyond the last point. */
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

/** Chooses the smallest size, from `least`, with nearly the best throughput of those that take at most `stepTarget`. */
export function chooseRows(curve: Curve, stepTarget: number, least: number): number {
  const allowed = curve.filter(({ rows, ms }) => ms <= stepTarget || rows <= least);
  const best = bestRate(allowed);
  const chosen = allowed.find((point) => point.rows >= least && throughput(point) >= ENOUGH * best);
  return chosen?.rows ?? at(allowed, allowed.length - 1).rows;
}

/** Measures the milliseconds of an evaluation of so many rows, the median of `repeats`. */
export type Measure = (rows: number, repeats: number) => Promise<number>;

/** Number of rounds over all sizes: the speed of machines changes during a measurement. */
const ROUNDS = 3;
/** Milliseconds after which no further round begins. */
const ENOUGH_MILLISECONDS = 1000;

/** Chooses the number of repeats: more for short steps. */
function repeatsOf(ms: number): number {
  return Math.min(9, Math.max(2, Math.ceil(30 / ms)));
}

/** Measures sizes whose first times are known again; gives the medians over rounds. */
async function refined(measure: Measure, first: Curve): Promise<Curve> {
  // Steps that take this long are known well enough, and more of them would take too long.
  if (first.some(({ ms }) => ms > ENOUGH_MILLISECONDS)) return first;
  const times = first.map(({ rows, ms }) => ({ rows, all: [ms] }));
  const start = performance.now();
  for (let round = 1; round < ROUNDS && performance.now() - start < ENOUGH_MILLISECONDS; ++round) {
    for (const { rows, all } of times) all.push(await measure(rows, repeatsOf(at(all, 0))));
  }
  return times.map(({ rows, all }) => ({ rows, ms: median(all) }));
}

/**
 * Measures steps of growing size until they take too long or their throughput grows no more.
 *
 * @param most - The largest size of interest.
 * @param least - The smallest size that can be chosen.
 */
export async function measureCurve(
  measure: Measure,
  { stepTarget, most, least }: { stepTarget: number; most: number; least: number },
): Promise<Curve> {
  const curve: { rows: number; ms: number }[] = [];
  let best = 0;
  let stagnant = 0;
  for (const rows of sizes.filter((size) => size <= most)) {
    const point = { rows, ms: await measure(rows, 3) };
    curve.push(point);
    stagnant = throughput(point) > LITTLE * best ? 0 : stagnant + 1;
    best = Math.max(best, throughput(point));
    if (rows >= least && (point.ms > stepTarget || stagnant === 3)) break;
  }
  return refined(measure, curve);
}

/** Measures a given size, and the smaller ones that a curve needs. */
export async function measureUpTo(measure: Measure, most: number): Promise<Curve> {
  const wanted = [...new Set([1, Math.ceil(most / 4), Math.ceil(most / 2), most])];
  const curve: { rows: number; ms: number }[] = [];
  for (const rows of wanted) curve.push({ rows, ms: await measure(rows, 3) });
  return refined(measure, curve);
}
