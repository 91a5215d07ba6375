// Changes of bytes, as libFuzzer makes them, without its view of what code they reach.
import type { Random } from '../../support/random.js';

/** Numbers at which lengths, counts and signs turn. */
const edges = [
  0,
  1,
  2,
  3,
  7,
  8,
  15,
  16,
  127,
  128,
  255,
  256,
  32_767,
  32_768,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];

type Change = (data: Buffer, random: Random, other: Buffer) => Buffer;

/** A range of bytes, the shorter the likelier. */
function rangeOf(data: Buffer, random: Random): [start: number, end: number] {
  const length = Math.min(data.length, Math.ceil(2 ** (random.unit() * Math.log2(data.length + 1))));
  const start = random.below(data.length - length + 1);
  return [start, start + length];
}

function withInserted(data: Buffer, at: number, inserted: Uint8Array): Buffer {
  return Buffer.concat([data.subarray(0, at), inserted, data.subarray(at)]);
}

/** Puts bytes over those that are there. */
function withOver(data: Buffer, at: number, bytes: Uint8Array): Buffer {
  const changed = Buffer.from(data);
  changed.set(bytes.subarray(0, data.length - at), at);
  return changed;
}

const changes: readonly Change[] = [
  // A bit.
  (data, random) => {
    const at = random.below(data.length);
    return withOver(data, at, Uint8Array.of((data[at] ?? 0) ^ (1 << random.below(8))));
  },
  // A byte, any or a little more or less.
  (data, random) => withOver(data, random.below(data.length), Uint8Array.of(random.below(256))),
  (data, random) => {
    const at = random.below(data.length);
    return withOver(data, at, Uint8Array.of((data[at] ?? 0) + random.below(17) - 8));
  },
  // A length: an edge in one to eight bytes of either order.
  (data, random) => {
    const bytes = Buffer.alloc(8);
    const value = BigInt(random.pick(edges)) - BigInt(random.below(3) - 1);
    const size = random.pick([1, 2, 4, 8]);
    if (random.chance(0.5)) {
      bytes.writeBigInt64LE(value);
      return withOver(data, random.below(data.length), bytes.subarray(0, size));
    }
    bytes.writeBigInt64BE(value);
    return withOver(data, random.below(data.length), bytes.subarray(8 - size));
  },
  // The number of bytes that there are, or are left.
  (data, random) => {
    const at = random.below(data.length);
    const bytes = Buffer.alloc(4);
    const value = Math.max(0, (random.chance(0.5) ? data.length : data.length - at) + random.below(9) - 4);
    if (random.chance(0.5)) bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return withOver(data, at, bytes);
  },
  // Digits of a text.
  (data, random) => {
    const numbers = [...data.toString('latin1').matchAll(/\d+/g)];
    if (numbers.length === 0) return data;
    const { index, 0: digits } = random.pick(numbers);
    const value = random.pick(['-1', '1e999', '0.5', '', '9007199254740993', String(random.pick(edges)), `${digits}0`]);
    return Buffer.concat([data.subarray(0, index), Buffer.from(value), data.subarray(index + digits.length)]);
  },
  // Cut off, or a part left out.
  (data, random) => data.subarray(0, random.below(data.length + 1)),
  (data, random) => {
    const [start, end] = rangeOf(data, random);
    return Buffer.concat([data.subarray(0, start), data.subarray(end)]);
  },
  // A part twice or often, elsewhere or over another one.
  (data, random) => {
    const [start, end] = rangeOf(data, random);
    return withInserted(data, end, data.subarray(start, end));
  },
  (data, random) => {
    const [start, end] = rangeOf(data, random);
    const times = 1 + random.below(32);
    return withInserted(data, end, Buffer.concat(Array<Buffer>(times).fill(data.subarray(start, end))));
  },
  (data, random) => {
    const [start, end] = rangeOf(data, random);
    return withOver(data, random.below(data.length), data.subarray(start, end));
  },
  // The same bytes, or any.
  (data, random) => {
    const [start, end] = rangeOf(data, random);
    return Buffer.from(data).fill(random.pick([0, 0xff, 0x20, random.below(256)]), start, end);
  },
  (data, random) => {
    const length = 1 + random.below(16);
    const bytes = Uint8Array.from({ length }, () => random.below(256));
    return withInserted(data, random.below(data.length + 1), bytes);
  },
  // The beginning of this and the end of another; a part of another in this.
  (data, random, other) =>
    Buffer.concat([data.subarray(0, random.below(data.length + 1)), other.subarray(random.below(other.length + 1))]),
  (data, random, other) => {
    const [start, end] = rangeOf(other, random);
    return withInserted(data, random.below(data.length + 1), other.subarray(start, end));
  },
  (data, random, other) => {
    const [start, end] = rangeOf(other, random);
    return withOver(data, random.below(data.length), other.subarray(start, end));
  },
];

const MOST_CHANGES = 6;
const MOST_KEPT = 4096;

/** Inputs that come from those of a corpus. */
export class Mutator {
  readonly #corpus: Buffer[];

  /**
   * @param corpus - Inputs to begin with; none: an empty one.
   * @param most - Largest length of an input.
   */
  constructor(
    private readonly random: Random,
    corpus: readonly Buffer[],
    private readonly most: number,
  ) {
    this.#corpus = corpus.length === 0 ? [Buffer.alloc(0)] : [...corpus];
  }

  /** Makes the next input. */
  next(): Buffer {
    const { random } = this;
    let data = random.pick(this.#corpus);
    for (let left = 1 + random.below(MOST_CHANGES); left > 0; --left) {
      if (data.length === 0) data = Buffer.of(random.below(256));
      const other = random.pick(this.#corpus);
      data = random.pick(changes)(data, random, other).subarray(0, this.most);
    }
    return data;
  }

  /** Begins with this input, too, from now on. */
  keep(data: Buffer): void {
    if (this.#corpus.length < MOST_KEPT) this.#corpus.push(Buffer.from(data));
    else this.#corpus[this.random.below(MOST_KEPT)] = Buffer.from(data);
  }
}
