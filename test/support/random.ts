import { philox4x32 } from './philox.js';

/** Numbers from a seed: reproducible, and independent of the code under test. */
export class Random {
  #counter = 0;

  constructor(private readonly seed: number) {}

  /** Draws a number in [0, 1). */
  unit(): number {
    const [word = 0] = philox4x32([this.#counter++, 0, 0, 0], [this.seed, 0x5eed]);
    return word * 2 ** -32;
  }

  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** A standard normal number. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.unit()));
    return radius * Math.cos(2 * Math.PI * this.unit());
  }
}
