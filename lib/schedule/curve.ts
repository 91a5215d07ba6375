import { at } from '../base/arrays.js';

/** Signal and noise of a schedule in continuous time. */
export interface SignalCurve {
  /** Logarithm ln A(t), A the cumulative signal power. */
  logAlphaBar(time: number): number;
  /** Cumulative noise power B(t). */
  betaBar(time: number): number;
  /** Time at which ln(sqrt(A / B)) has this value. */
  timeOfLogSnr(logSnr: number): number;
  /** Rate -d ln A / dt: the forward SDE is dx = -rate / 2 x dt + sqrt(diffusion) dw. */
  rate(time: number): number;
  /** The squared noise coefficient of the forward SDE. */
  diffusion(time: number): number;
}

/** Computes ln(exp(a) + exp(b)) without overflow. */
export function logAddExp(a: number, b: number): number {
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/** Makes a curve with B = 1 - A from ln A, its inverse and its rate. */
function variancePreserving(curve: {
  logAlphaBar(time: number): number;
  timeOf(logAlphaBar: number): number;
  rate(time: number): number;
}): SignalCurve {
  return {
    logAlphaBar: (time) => curve.logAlphaBar(time),
    betaBar: (time) => -Math.expm1(curve.logAlphaBar(time)),
    timeOfLogSnr: (logSnr) => curve.timeOf(-logAddExp(0, -2 * logSnr)),
    rate: (time) => curve.rate(time),
    diffusion: (time) => curve.rate(time),
  };
}

/** Makes the VP-SDE with rate beta(t) = start + (end - start) t (Song et al. 2021, samplers of the VP family). */
export function linearRateCurve(start: number, end: number): SignalCurve {
  const slope = end - start;
  return variancePreserving({
    logAlphaBar: (time) => -time * (start + 0.5 * slope * time),
    // Root of the quadratic in the form that does not subtract nearly equal numbers.
    timeOf: (logAlphaBar) => (-2 * logAlphaBar) / (Math.sqrt(start * start - 2 * slope * logAlphaBar) + start),
    rate: (time) => start + slope * time,
  });
}

/** Makes noise alone, A = 1 and B = t^2: the time is the standard deviation of the noise (Karras et al. 2022). */
export function explodingCurve(): SignalCurve {
  return {
    logAlphaBar: () => 0,
    betaBar: (time) => time * time,
    timeOfLogSnr: (logSnr) => Math.exp(-logSnr),
    rate: () => 0,
    diffusion: (time) => 2 * time,
  };
}

/**
 * Interpolates ln A / 2 linearly in t through the knots t_i = i / N, extended by the outermost segments (the "discrete"
 * wrapper of DPM-Solver, Lu et al. 2022).
 */
export function interpolatedCurve(logAlphaBar: Float64Array): SignalCurve {
  const steps = logAlphaBar.length - 1;
  const segment = (time: number): number => Math.min(Math.max(Math.floor(time * steps), 1), steps - 1);
  const slope = (left: number): number => at(logAlphaBar, left + 1) - at(logAlphaBar, left);
  return variancePreserving({
    logAlphaBar(time) {
      const left = segment(time);
      return at(logAlphaBar, left) + (time * steps - left) * slope(left);
    },
    timeOf(value) {
      let low = 1;
      let high = steps;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (at(logAlphaBar, middle) >= value) low = middle;
        else high = middle;
      }
      return (low + (value - at(logAlphaBar, low)) / slope(low)) / steps;
    },
    rate: (time) => -slope(segment(time)) * steps,
  });
}
