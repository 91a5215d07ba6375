import { DpmError } from '../base/errors.js';

/** Rounds half to even, as IEEE 754 and Python do. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Name of diffusers' methods to spread `num_inference_steps` over the times a network was trained on. */
export type Spacing = 'leading' | 'trailing' | 'linspace';

export const spacingNames: readonly Spacing[] = ['leading', 'trailing', 'linspace'];

/** Options of a spacing of times. */
export interface SpacingOptions {
  /** Number of times K. */
  count: number;
  /** Number of times of the network, 0-based ones up to `trained` - 1. */
  trained: number;
  /** Offset of `leading` times, as diffusers' `steps_offset`. */
  offset?: number;
}

/** Spreads times evenly from `last` down to `first`, both included, as NumPy's linspace; a single one is `first`. */
export function evenTimes(first: number, last: number, count: number): number[] {
  const stride = count === 1 ? 0 : (last - first) / (count - 1);
  return Array.from({ length: count }, (_, k) => {
    const position = count - 1 - k;
    return position === count - 1 && count > 1 ? last : first + position * stride;
  });
}

/** Lists N, N - N / K, ... above 0, rounded, less 1: as many as NumPy's arange gives. */
function trailingTimes(first: number, trained: number, count: number): number[] {
  const stride = trained / count;
  const length = Math.ceil(first / stride);
  // NumPy uses the distance of the first two: halves are rounded by its last bit.
  const distance = first - (first - stride);
  return Array.from({ length }, (_, k) => roundHalfEven(first - k * distance) - 1);
}

/**
 * Spreads decreasing 0-based times, one per evaluation. K = 1 gives the time 0 for `leading` and `linspace`, as
 * diffusers.
 *
 * - `leading`: multiples of floor(N / K), from 0, and the offset
 * - `trailing`: round(N - k N / K) - 1
 * - `linspace`: evenly from N - 1 to 0, fractions where K - 1 does not divide N - 1
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if a time is not one of the network's.
 */
export function spacedTimes(spacing: Spacing, options: SpacingOptions): number[] {
  return withinTrained(unboundedTimes(spacing, options), options.trained);
}

/** Spreads times that may lie beyond the network's by an offset or rounding, as ends for another spacing. */
export function unboundedTimes(spacing: Spacing, { count, trained, offset = 0 }: SpacingOptions): number[] {
  switch (spacing) {
    case 'leading':
      return leadingTimes(Math.floor(trained / count), count, offset);
    case 'trailing':
      return trailingTimes(trained, trained, count);
    case 'linspace':
      return evenTimes(0, trained - 1, count);
  }
}

function leadingTimes(stride: number, count: number, offset: number): number[] {
  return Array.from({ length: count }, (_, k) => (count - 1 - k) * stride + offset);
}

/**
 * Lists decreasing 0-based integers as diffusers' multistep solvers use them: those of {@link spacedTimes} for one more
 * time, without the last, for `leading` and `linspace`.
 *
 * @param last - Number of times in use: fewer than `trained` if the noisiest are left out (`lambda_min_clipped`).
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if a time is not one of the network's.
 */
export function solverTimes(
  spacing: Spacing,
  { count, trained, offset = 0 }: SpacingOptions,
  last: number = trained,
): number[] {
  switch (spacing) {
    case 'leading': {
      const stride = Math.floor(last / (count + 1));
      return withinTrained(leadingTimes(stride, count + 1, offset).slice(0, -1), trained);
    }
    case 'trailing':
      return withinTrained(trailingTimes(last, trained, count), trained);
    case 'linspace':
      return evenTimes(0, last - 1, count + 1)
        .slice(0, -1)
        .map(roundHalfEven);
  }
}

function withinTrained(times: number[], trained: number): number[] {
  const wrong = times.find((time) => time < 0 || time > trained - 1);
  if (wrong === undefined) return times;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `these steps and offset take the time ${wrong}, the network has the times 0 to ${trained - 1}`,
  );
}
