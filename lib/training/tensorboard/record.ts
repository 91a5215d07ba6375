import crc32c from 'crc-32/crc32c.js';

/** What is added to a rotated checksum, so that one of data that hold checksums themselves is no trivial one. */
const MASK = 0xa282ead8;

/** Bytes before the data of a record: their number, and its checksum. */
const HEAD_BYTES = 12;

/** Computes the checksum of a record's part: its CRC-32C, rotated by 15 bits to the right, plus a constant. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c.buf(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK) >>> 0;
}

/** Frames data as a record of TensorFlow's files (TFRecord), which tells where it ends and whether it is whole. */
export function tfRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(HEAD_BYTES + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, HEAD_BYTES);
  record.writeUInt32LE(maskedCrc32c(data), HEAD_BYTES + data.length);
  return record;
}
