/** A word as the symbols that it consists of so far, and how often the texts have it. */
export interface CountedWord {
  symbols: string[];
  readonly count: number;
}

/** Two symbols side by side: how often they are, and in which words. */
interface Pair {
  count: number;
  readonly words: Set<CountedWord>;
}

/** A pair, and the count that it had when it was put into the queue. */
interface Candidate {
  readonly name: string;
  readonly count: number;
}

/** Name of a pair, as in a file of merges. No symbol has a space, so that names are in the order of their symbols. */
function nameOf(left: string, right: string): string {
  return `${left} ${right}`;
}

/** Tells which of two pairs is merged first. Symbols are of the first 512 characters, whose order is that of code points. */
function isBefore(a: Candidate, b: Candidate): boolean {
  return a.count !== b.count ? a.count > b.count : a.name < b.name;
}

/** A binary heap: the candidate that is merged first is on top. */
class CandidateQueue {
  readonly #heap: Candidate[] = [];

  add(candidate: Candidate): void {
    let place = this.#heap.length;
    for (; place > 0; place = (place - 1) >> 1) {
      const parent = this.#heap[(place - 1) >> 1];
      if (parent === undefined || !isBefore(candidate, parent)) break;
      this.#heap[place] = parent;
    }
    this.#heap[place] = candidate;
  }

  take(): Candidate | undefined {
    const [top] = this.#heap;
    const last = this.#heap.pop();
    if (last !== undefined && last !== top) this.#sink(last);
    return top;
  }

  /** Puts a candidate on top, and from there to where it belongs. */
  #sink(candidate: Candidate): void {
    let place = 0;
    for (;;) {
      const [left, right] = [this.#heap[2 * place + 1], this.#heap[2 * place + 2]];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const first = isRight ? right : left;
      if (!isBefore(first, candidate)) break;
      this.#heap[place] = first;
      place = 2 * place + (isRight ? 2 : 1);
    }
    this.#heap[place] = candidate;
  }
}

/** Joins two symbols wherever they are side by side, from the left. */
function joined(symbols: readonly string[], left: string, right: string): string[] {
  const found: string[] = [];
  for (let i = 0; i < symbols.length; ++i) {
    const symbol = symbols[i] ?? '';
    if (symbol === left && symbols[i + 1] === right) {
      found.push(left + right);
      ++i;
    } else found.push(symbol);
  }
  return found;
}

/** Counts of all pairs of symbols in words, kept up while pairs are merged: a merge costs what its own words cost. */
export class PairCounts {
  readonly #pairs = new Map<string, Pair>();
  readonly #queue = new CandidateQueue();
  /** Pairs whose counts have changed since they were put into the queue. */
  readonly #changed = new Set<string>();

  constructor(words: Iterable<CountedWord>) {
    for (const word of words) this.#count(word, 1);
    this.#enqueue();
  }

  /**
   * Merges the most frequent pair, of several the one that is first in the order of code points, in all words.
   *
   * @param least - Least count of a pair that is merged.
   * @returns Its symbols; undefined if there is no such pair.
   */
  mergeNext(least: number): [left: string, right: string] | undefined {
    for (;;) {
      const next = this.#queue.take();
      if (next === undefined || next.count < least) return undefined;
      const pair = this.#pairs.get(next.name);
      // The queue has the counts of earlier merges, too.
      if (pair?.count !== next.count) continue;
      const [left = '', right = ''] = next.name.split(' ');
      for (const word of [...pair.words]) {
        this.#count(word, -1);
        word.symbols = joined(word.symbols, left, right);
        this.#count(word, 1);
      }
      this.#enqueue();
      return [left, right];
    }
  }

  /** Counts the pairs of a word, or takes them off. */
  #count(word: CountedWord, sign: 1 | -1): void {
    for (let i = 1; i < word.symbols.length; ++i) {
      const name = nameOf(word.symbols[i - 1] ?? '', word.symbols[i] ?? '');
      const pair = this.#pairs.get(name) ?? { count: 0, words: new Set() };
      pair.count += sign * word.count;
      if (sign > 0) pair.words.add(word);
      else pair.words.delete(word);
      this.#pairs.set(name, pair);
      this.#changed.add(name);
    }
  }

  #enqueue(): void {
    for (const name of this.#changed) {
      const count = this.#pairs.get(name)?.count ?? 0;
      if (count > 0) this.#queue.add({ name, count });
      else this.#pairs.delete(name);
    }
    this.#changed.clear();
  }
}
