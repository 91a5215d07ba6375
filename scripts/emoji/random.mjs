// Random numbers that depend on a seed and on what they are for, and on nothing else.
import { philox4x32, seedWords } from '../../dist/base/random.js';

export class Random {
  #seed;
  #place;
  #block = 0;
  #words = [];

  /** Numbers of one thing of a kind, e.g. of picture 12: those of others do not depend on how many it took. */
  constructor(seed, kind, index = 0) {
    this.#seed = seedWords(seed);
    this.#place = [index, kind];
  }

  /** A number from 0 to below 1. */
  next() {
    if (this.#words.length === 0) this.#words = philox4x32([this.#block++, ...this.#place, 0], this.#seed);
    return this.#words.shift() / 2 ** 32;
  }

  between(low, high) {
    return low + (high - low) * this.next();
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** The list in another order. */
  shuffled(list) {
    const found = [...list];
    for (let i = found.length - 1; i > 0; --i) {
      const j = Math.floor(this.next() * (i + 1));
      [found[i], found[j]] = [found[j], found[i]];
    }
    return found;
  }
}

/** What random numbers are for. */
export const kinds = { heldOut: 1, picture: 2, question: 3, answer: 4 };
