import { philox4x32, seedWords } from '../../base/random.js';

/** Request of a run: its arrival in milliseconds, and the number of records of its sample. */
export interface ArrivingRequest {
  readonly at: number;
  readonly records: number;
}

/** Workload: its rate, its duration and the lengths of its requests. */
export interface Workload {
  /** Rate in rows per millisecond. */
  readonly rate: number;
  readonly milliseconds: number;
  /** Lengths that are equally likely. */
  readonly lengths: readonly number[];
  /** Share of requests that have `longest` records instead. */
  readonly longShare: number;
  readonly longest: number;
}

/** Computes the mean number of records of a request. */
export function meanRecords({ lengths, longShare, longest }: Workload): number {
  const mean = lengths.reduce((sum, each) => sum + each, 0) / lengths.length;
  return (1 - longShare) * mean + longShare * longest;
}

/**
 * Draws the times of requests beforehand, as a Poisson process: each is sent at its time, even if earlier ones wait.
 */
export function poissonArrivals(workload: Workload, seed: number): ArrivingRequest[] {
  const { lengths, longShare, longest, milliseconds } = workload;
  const perMillisecond = workload.rate / meanRecords(workload);
  const arrivals: ArrivingRequest[] = [];
  for (let at = 0, index = 0; ; ++index) {
    const [interval, kind, length] = philox4x32([index, 0, 0, 2], seedWords(seed)).map((word) => word / 2 ** 32);
    at -= Math.log(1 - (interval ?? 0)) / perMillisecond;
    if (at > milliseconds) return arrivals;
    const short = lengths[Math.floor((length ?? 0) * lengths.length)] ?? longest;
    arrivals.push({ at, records: (kind ?? 1) < longShare ? longest : short });
  }
}
