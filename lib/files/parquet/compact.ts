import { DpmError } from '../../base/errors.js';

/** A value of Thrift's compact protocol; numbers beyond 2^53 are near ones. */
export type CompactValue = boolean | number | Uint8Array | readonly CompactValue[] | CompactStruct;

/** Fields of a struct by their numbers. */
export type CompactStruct = ReadonlyMap<number, CompactValue>;

/** Depth of structs and lists in each other; Parquet's own have 6. */
const DEEPEST = 24;

/** Number of values of one struct, with all inside it. */
const MOST_VALUES = 1 << 21;

/** Bytes of a number of 64 bits, 7 of them in each. */
const MOST_NUMBER_BYTES = 10;

const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const SET = 10;
const STRUCT = 12;

/** Reads values one after the other; nothing is allocated that the bytes do not hold. */
class CompactReader {
  #left = MOST_VALUES;

  constructor(
    private readonly where: string,
    private readonly bytes: Uint8Array,
    public position: number,
  ) {}

  struct(depth: number): CompactStruct {
    const fields = new Map<number, CompactValue>();
    let id = 0;
    for (;;) {
      const head = this.#byte();
      const type = head & 0x0f;
      if (type === 0) return fields;
      id = head >> 4 === 0 ? this.#signed() : id + (head >> 4);
      fields.set(id, type === TRUE || type === FALSE ? type === TRUE : this.#value(type, depth));
    }
  }

  #fail(problem: string): never {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${this.where}: what describes the data ${problem}`);
  }

  #byte(): number {
    return this.bytes[this.position++] ?? this.#fail('ends too early');
  }

  #unsigned(): number {
    let number = 0;
    for (let i = 0; i < MOST_NUMBER_BYTES; ++i) {
      const byte = this.#byte();
      number += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return number;
    }
    return this.#fail('has a number of more than 64 bits');
  }

  /** Reads a number whose lowest bit is its sign. */
  #signed(): number {
    const number = this.#unsigned();
    return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
  }

  #value(type: number, depth: number): CompactValue {
    if (--this.#left < 0) this.#fail(`has more than ${MOST_VALUES} values`);
    if (depth > DEEPEST) this.#fail(`is more than ${DEEPEST} deep`);
    if (type === STRUCT) return this.struct(depth + 1);
    if (type === LIST || type === SET) return this.#list(depth);
    if (type === BINARY) return this.#part(this.#unsigned());
    if (type === DOUBLE) return this.#double();
    if (type === BYTE) return this.#byte();
    if (type > BYTE && type <= I64) return this.#signed();
    return this.#fail(`has a value of the unknown type ${type}`);
  }

  #double(): number {
    const { buffer, byteOffset } = this.#part(8);
    return new DataView(buffer, byteOffset, 8).getFloat64(0, true);
  }

  #part(length: number): Uint8Array {
    if (length > this.bytes.length - this.position) this.#fail('ends too early');
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  #list(depth: number): CompactValue[] {
    const head = this.#byte();
    const type = head & 0x0f;
    const count = head >> 4 === 15 ? this.#unsigned() : head >> 4;
    if (count > this.#left || count > this.bytes.length - this.position) this.#fail('has a list that is too long');
    // In a list a truth value has a byte, beside no other.
    const isTruth = type === TRUE || type === FALSE;
    const values: CompactValue[] = [];
    for (let i = 0; i < count; ++i) values.push(isTruth ? this.#byte() === TRUE : this.#value(type, depth + 1));
    return values;
  }
}

/**
 * Reads a struct of Thrift's compact protocol, the form of all that Parquet says of its data.
 *
 * @param where - Name in errors.
 * @param position - Where it begins in `bytes`.
 * @returns Its fields, and the position behind it.
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` if the bytes are none, or have more than 2 million values.
 */
export function readCompact(where: string, bytes: Uint8Array, position = 0): { fields: CompactStruct; end: number } {
  const reader = new CompactReader(where, bytes, position);
  const fields = reader.struct(0);
  return { fields, end: reader.position };
}
