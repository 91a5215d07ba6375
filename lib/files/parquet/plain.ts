import { DpmError } from '../../base/errors.js';
import type { PlainReader } from './pages.js';

function tooShort(where: string, count: number): DpmError {
  return new DpmError('ERR_DPM_FILE_TRUNCATED', `${where}: a page ends before the last of ${count} values`);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Reads texts of bytes, each behind its length of 32 bits. They share the memory of the page. */
export const readByteArrays: PlainReader<Uint8Array> = (where, bytes, count) => {
  const view = viewOf(bytes);
  const values: Uint8Array[] = [];
  for (let position = 0; values.length < count;) {
    if (position + 4 > bytes.length) throw tooShort(where, count);
    const first = position + 4;
    position = first + view.getUint32(position, true);
    if (position > bytes.length) throw tooShort(where, count);
    values.push(bytes.subarray(first, position));
  }
  return values;
};

/** Makes a reader of integers of 4 or 8 bytes. */
export function integerReader(size: 4 | 8): PlainReader<number> {
  return (where, bytes, count) => {
    if (count * size > bytes.length) throw tooShort(where, count);
    const view = viewOf(bytes);
    return Array.from({ length: count }, (_, i) =>
      size === 4 ? view.getInt32(4 * i, true) : Number(view.getBigInt64(8 * i, true)),
    );
  };
}
