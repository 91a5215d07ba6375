import { at } from '../../base/arrays.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { roundedAlphaBars } from './rounded-betas.js';

const { fround } = Math;

/** Computes a b + c rounded once: a product of float32 numbers is exact in double precision. */
function fused(a: number, b: number, c: number): number {
  return fround(a * b + c);
}

/** Coefficients of numerator and denominator, highest power first, of the approximation of ln(1 + x) for x in [-0.3, 0.42]. */
const numerator = [
  2.589979117907922693523e-2, 3.808837741388407920751e-1, 1.480000633576506585156, 2.112677543073053063722,
  9.999999999999998702752e-1, 0,
].map(fround);
const denominator = [
  5.87509540312457434295e-3, 1.546476374983906719538e-1, 9.864942958519418960339e-1, 2.453006071784736363091,
  2.612677543073109236779, 1,
].map(fround);

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => fused(sum, x, coefficient));
}

/**
 * Computes the logarithm of a float32 number as NumPy does on x86 processors: one of 13 is not the nearest float32 number,
 * and the whole time of a noise level may depend on that bit. Without subnormal numbers.
 *
 * @param value - Number, positive, float32.
 */
export function roundedLogarithm(value: number): number {
  let exponent = Math.floor(Math.log2(value));
  let mantissa = value / 2 ** exponent;
  if (mantissa > fround(Math.SQRT2)) {
    mantissa /= 2;
    ++exponent;
  }
  const x = fround(mantissa - 1);
  const fraction = fround(polynomial(numerator, x) / polynomial(denominator, x));
  return fused(exponent, fround(Math.LN2), fraction);
}

/** Value of A in place of 0 if betas are rescaled to zero SNR and a scheduler works with sigma / alpha. */
const leastAlphaBar = 2 ** -24;

/**
 * Table of sigma / alpha at the 0-based times of a discrete schedule, as diffusers' schedulers look them up: float32 numbers
 * of float32 tables, whose last bits decide the time of a noise level.
 */
export class SigmaTable {
  /** Ratios by time. */
  readonly ratios: readonly number[];
  /** Logarithms ln(sigma / alpha) by time, as in NumPy. */
  readonly logarithms: readonly number[];

  constructor(schedule: NoiseSchedule) {
    this.ratios = roundedAlphaBars(schedule).map((rounded) => {
      const alphaBar = rounded === 0 ? leastAlphaBar : rounded;
      return Math.fround(Math.sqrt(Math.fround(Math.fround(1 - alphaBar) / alphaBar)));
    });
    this.logarithms = this.ratios.map(roundedLogarithm);
  }

  /** Number of times. */
  get length(): number {
    return this.ratios.length;
  }

  /** Ratio of the first time. */
  get least(): number {
    return at(this.ratios, 0);
  }

  /** Ratio of the last time. */
  get most(): number {
    return at(this.ratios, this.length - 1);
  }

  /** Interpolates at a time that may lie between two: linear in sigma / alpha. */
  ratioAt(time: number): number {
    const left = Math.min(Math.max(Math.floor(time), 0), this.length - 2);
    const low = at(this.ratios, left);
    return low + Math.min(Math.max(time - left, 0), 1) * (at(this.ratios, left + 1) - low);
  }

  /**
   * Finds the time of a ratio: linear in its logarithm, and within the table. With zero SNR the last ratio may be below
   * others: the last time that is not above counts.
   */
  timeOf(ratio: number): number {
    const logarithm = Math.log(Math.max(ratio, 1e-10));
    const { logarithms } = this;
    const below = logarithms.findLastIndex((each) => each <= logarithm);
    const left = Math.min(Math.max(below, 0), this.length - 2);
    const [low, high] = [at(logarithms, left), at(logarithms, left + 1)];
    const share = Math.min(Math.max((low - logarithm) / (low - high), 0), 1);
    return (1 - share) * left + share * (left + 1);
  }
}
