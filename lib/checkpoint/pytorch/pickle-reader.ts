import { DpmError } from '../../base/errors.js';
import { MAX_LINE } from './limits.js';

const latin1 = new TextDecoder('latin1');

/** Error: the bytes end inside a pickle that may go on after them. */
export class MoreBytesNeeded extends Error {
  /** @param bytes - Minimum number of needed bytes, from the start of the pickle */
  constructor(readonly bytes: number) {
    super(`${bytes} bytes are needed`);
  }
}

/** Reader of a pickle's bytes from front to back, never beyond their end. */
export class PickleReader {
  position = 0;
  private readonly view: DataView;

  /**
   * @param where - File, and the part of it, for messages
   * @param bytes - First bytes of the pickle
   * @param available - Maximum number of its bytes, at least `bytes.length`
   * @param base - Position of its start, for messages
   */
  constructor(
    readonly where: string,
    private readonly bytes: Uint8Array,
    private readonly available: number,
    readonly base: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Advances over `length` bytes and returns their position. */
  private advance(length: number): number {
    const begin = this.position;
    this.require(begin + length);
    this.position = begin + length;
    return begin;
  }

  private require(end: number): void {
    if (end <= this.bytes.length) return;
    if (end <= this.available) throw new MoreBytesNeeded(end);
    throw new DpmError(
      'ERR_DPM_FILE_TRUNCATED',
      `${this.where} ends at byte ${this.base + this.available}, its pickle needs ${this.base + end}`,
    );
  }

  /** An unsigned byte. */
  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  /** An unsigned integer of 2 bytes, like all others with its lowest byte first. */
  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  /** An unsigned integer of 4 bytes. */
  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  /** A signed integer of 4 bytes. */
  i32(): number {
    return this.view.getInt32(this.advance(4), true);
  }

  /** An unsigned integer of 8 bytes. Beyond 2^53 it is rounded, to a number larger than any file. */
  u64(): number {
    return Number(this.view.getBigUint64(this.advance(8), true));
  }

  /** A double of 8 bytes, with its highest byte first. */
  f64BigEndian(): number {
    return this.view.getFloat64(this.advance(8), false);
  }

  /** Takes the next `length` bytes, a view of those of the file. */
  take(length: number): Uint8Array {
    const begin = this.advance(length);
    return this.bytes.subarray(begin, begin + length);
  }

  /** Checks that `length` more bytes can be there, without taking them. */
  announce(length: number): void {
    if (this.position + length > this.available) this.require(this.position + length);
  }

  /** The text up to the next line feed, or undefined if it is longer than any line should be. */
  line(): string | undefined {
    const limit = this.position + MAX_LINE;
    const end = this.bytes.subarray(this.position, limit).indexOf(0x0a);
    if (end < 0) {
      if (limit > this.bytes.length) this.require(this.bytes.length + 1);
      return undefined;
    }
    const text = this.take(end);
    this.position += 1;
    return latin1.decode(text);
  }
}
