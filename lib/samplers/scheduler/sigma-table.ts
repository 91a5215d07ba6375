import { at } from '../../base/arrays.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { roundedAlphaBars } from './rounded-betas.js';
import { roundedLogarithm } from './rounded-logarithm.js';

/** A in place of 0 where betas are rescaled to zero SNR and a scheduler works with sigma / alpha. */
const leastAlphaBar = 2 ** -24;

/**
 * sigma / alpha of the 0-based times of a discrete schedule, as diffusers' schedulers look them up: float32 numbers of float32
 * tables, on whose last bits hangs which time a noise level has.
 */
export class SigmaTable {
  /** By time. */
  readonly ratios: readonly number[];
  /** ln(sigma / alpha) by time, as NumPy has it. */
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

  /** Of the first time. */
  get least(): number {
    return at(this.ratios, 0);
  }

  /** Of the last time. */
  get most(): number {
    return at(this.ratios, this.length - 1);
  }

  /** At a time that may lie between two: linear in sigma / alpha. */
  ratioAt(time: number): number {
    const left = Math.min(Math.max(Math.floor(time), 0), this.length - 2);
    const low = at(this.ratios, left);
    return low + Math.min(Math.max(time - left, 0), 1) * (at(this.ratios, left + 1) - low);
  }

  /**
   * The time of a ratio: linear in its logarithm, and within the table. With zero SNR the last ratio may be below others: the last
   * time that is not above counts.
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
