import { at } from '../arrays.js';

/** The signal curve of a schedule in continuous time, as the logarithm of the cumulative signal power. */
export interface SignalCurve {
  /** ln A(t). */
  logAlphaBar(time: number): number;
  /** The time at which ln A has this value. */
  timeOf(logAlphaBar: number): number;
}

/** ln(exp(a) + exp(b)) without overflow. */
export function logAddExp(a: number, b: number): number {
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/** VP-SDE with linearly growing rate, beta(t) = start + (end - start) t (Song et al. 2021, samplers of the VP family). */
export function linearRateCurve(start: number, end: number): SignalCurve {
  const slope = end - start;
  return {
    logAlphaBar: (time) => -time * (start + 0.5 * slope * time),
    // Root of the quadratic in the form that does not subtract nearly equal numbers.
    timeOf: (logAlphaBar) => (-2 * logAlphaBar) / (Math.sqrt(start * start - 2 * slope * logAlphaBar) + start),
  };
}

/**
 * Piecewise linear interpolation of ln A / 2 in t through the knots t_i = i / N, extended by the outermost segments
 * (the "discrete" wrapper of DPM-Solver, Lu et al. 2022).
 */
export function interpolatedCurve(logAlphaBar: Float64Array): SignalCurve {
  const steps = logAlphaBar.length - 1;
  const line = (left: number, position: number): number => {
    const value = at(logAlphaBar, left);
    return value + (position - left) * (at(logAlphaBar, left + 1) - value);
  };
  return {
    logAlphaBar(time) {
      const position = time * steps;
      return line(Math.min(Math.max(Math.floor(position), 1), steps - 1), position);
    },
    timeOf(value) {
      let low = 1;
      let high = steps;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (at(logAlphaBar, middle) >= value) low = middle;
        else high = middle;
      }
      const left = at(logAlphaBar, low);
      return (low + (value - left) / (at(logAlphaBar, low + 1) - left)) / steps;
    },
  };
}
