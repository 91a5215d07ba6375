import { throwIfAborted } from '../../base/abort.js';
import { quantile } from '../../base/quantile.js';

/** Durations of repeated calls in milliseconds. */
export class Timings {
  constructor(private readonly all: readonly number[]) {}

  /** The value below which the share `p` of the calls lies. */
  quantile(p: number): number {
    return quantile(this.all, p);
  }

  get median(): number {
    return this.quantile(0.5);
  }
}

/** Calls `body` for at least `milliseconds` and `least` times, after one call that does not count. */
export async function timeCalls(
  body: () => Promise<void> | void,
  { milliseconds, least, signal }: { milliseconds: number; least: number; signal: AbortSignal },
): Promise<Timings> {
  await body();
  const times: number[] = [];
  const end = performance.now() + milliseconds;
  while (times.length < least || performance.now() < end) {
    throwIfAborted(signal);
    const start = performance.now();
    await body();
    times.push(performance.now() - start);
  }
  return new Timings(times);
}
