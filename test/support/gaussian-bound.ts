import type { Predictor } from '../../lib/estimation/likelihood/bound.js';
import type { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';

/**
 * Four points and noises whose averages are exact for polynomials of degree 3 in data and noise: x_0 = +-sqrt(c), eps = +-1, so
 * that a bound on Gaussian data N(0, c), whose terms are of degree 2, comes out exactly.
 *
 * @param c - Variance of each element.
 */
export function gaussianPoints(c: readonly number[]): { x0: Float64Array; epsilon: Float64Array } {
  const signs = [
    [1, 1],
    [1, -1],
    [-1, 1],
    [-1, -1],
  ] as const;
  return {
    x0: Float64Array.from(signs.flatMap(([sign]) => c.map((each) => sign * Math.sqrt(each)))),
    epsilon: Float64Array.from(signs.flatMap(([, sign]) => c.map(() => sign))),
  };
}

/** The perfect noise prediction for N(0, c), and E[(eps - eps_hat)^2 | x_t] as its second output. */
export function gaussianPredictor(
  schedule: NoiseSchedule,
  c: readonly number[],
  x0: Float64Array,
  epsilon: Float64Array,
): Predictor {
  return (t) => {
    const [a, b] = [schedule.alphaBar(t), schedule.betaBar(t)];
    const power = (i: number): number => a * c[i % c.length]! + b;
    const states = x0.map((value, i) => Math.sqrt(a) * value + Math.sqrt(b) * epsilon[i]!);
    return Promise.resolve({
      states,
      out: states.map((x, i) => (Math.sqrt(b) * x) / power(i)),
      head: states.map((_, i) => 1 - b / power(i)),
    });
  };
}
