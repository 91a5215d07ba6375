import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';

/** Widest number that is read. */
const MOST_BITS = 32;

/** Number of values of the unit of packed ones. */
const PACKED = 8;

/** Reads runs of equal numbers, and numbers packed by their bits. */
class HybridReader {
  #position = 0;

  constructor(
    private readonly where: string,
    private readonly bytes: Uint8Array,
    private readonly width: number,
  ) {}

  /** Fills `numbers`, of which no run may have more than are left. */
  fill(numbers: Uint32Array): void {
    for (let done = 0; done < numbers.length;) {
      const head = this.#head();
      const count = Math.floor(head / 2);
      done += head % 2 === 0 ? this.#repeat(numbers, done, count) : this.#unpack(numbers, done, count * PACKED);
    }
  }

  #fail(problem: string): never {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${this.where}: a page ${problem}`);
  }

  #byte(): number {
    return this.bytes[this.#position++] ?? this.#fail('ends inside its numbers');
  }

  #head(): number {
    let head = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      head += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return head;
    }
    return this.#fail('has a run of more than 2^32 numbers');
  }

  #repeat(numbers: Uint32Array, from: number, count: number): number {
    if (count > numbers.length - from)
      this.#fail(`has a run of ${count} numbers where ${numbers.length - from} are left`);
    let value = 0;
    for (let shift = 0; shift < this.width; shift += 8) value += this.#byte() * 2 ** shift;
    numbers.fill(value, from, from + count);
    return count;
  }

  /** Takes packed numbers; what fills up the last unit is left out. */
  #unpack(numbers: Uint32Array, from: number, count: number): number {
    const bytes = (count / PACKED) * this.width;
    const taken = Math.min(count, numbers.length - from);
    if (bytes > this.bytes.length - this.#position) this.#fail('ends inside its numbers');
    let [bit, start] = [0, this.#position];
    for (let i = 0; i < taken; ++i) {
      let value = 0;
      for (let got = 0; got < this.width;) {
        const used = Math.min(8 - bit, this.width - got);
        value += (((this.bytes[start] ?? 0) >> bit) & ((1 << used) - 1)) * 2 ** got;
        got += used;
        bit += used;
        if (bit === 8) [bit, start] = [0, start + 1];
      }
      numbers[from + i] = value;
    }
    this.#position += bytes;
    return taken;
  }
}

/**
 * Decodes numbers in Parquet's hybrid of runs and packed bits, as levels and places in a dictionary are stored.
 *
 * @param where - Name in errors.
 * @param width - Bits of a number.
 * @param count - Number of numbers.
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` if the bytes do not hold them, `ERR_DPM_OUT_OF_MEMORY`.
 */
export function readHybrid(where: string, bytes: Uint8Array, width: number, count: number): Uint32Array {
  if (width > MOST_BITS) throw new DpmError('ERR_DPM_FILE_HEADER', `${where}: a page has numbers of ${width} bits`);
  requireMemory(where, count, Uint32Array.BYTES_PER_ELEMENT);
  const numbers = new Uint32Array(count);
  // Values of no bits are all 0.
  if (width > 0) new HybridReader(where, bytes, width).fill(numbers);
  return numbers;
}
