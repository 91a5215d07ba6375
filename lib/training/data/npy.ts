import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { floatsOf } from '../../files/floats.js';
import { dtypeBytes, type Dtype } from '../../files/safetensors.js';

const MAGIC = '\x93NUMPY';

/** Bytes before the text of the header: mark, version, and its length in 2 or 4 bytes. */
const START_BYTES = 12;

const MOST_HEADER_BYTES = 65_536;

/** Types of NumPy, lowest byte first, by the names of safetensors. */
const dtypes: Readonly<Record<string, Dtype>> = {
  '|u1': 'U8',
  '|i1': 'I8',
  '|b1': 'BOOL',
  '<i2': 'I16',
  '<u2': 'U16',
  '<i4': 'I32',
  '<u4': 'U32',
  '<i8': 'I64',
  '<u8': 'U64',
  '<f2': 'F16',
  '<f4': 'F32',
  '<f8': 'F64',
};

/** What NumPy writes, with keys in any order. */
const header =
  /^\{(?=.*'descr': *'([|<>=]?[a-zA-Z]\d{1,3})')(?=.*'fortran_order': *(True|False))(?=.*'shape': *\(([\d, ]*)\))[^{}]*\}\s*$/s;

/** An array of NumPy. */
export interface NumpyArray {
  dtype: Dtype;
  shape: number[];
  /** The elements in C order, lowest byte first. */
  bytes: Uint8Array;
}

/**
 * Parses the bytes of a file of NumPy's format `.npy`, versions 1 to 3. The array shares their memory.
 *
 * @param where - Name in errors.
 * @throws {@link DpmError} `ERR_DPM_FILE_HEADER` if they are none, `ERR_DPM_FILE_TRUNCATED` or `ERR_DPM_TENSOR_SIZE` if there
 * are not as many as the shape says, `ERR_DPM_TENSOR_DTYPE` for another type, `ERR_DPM_UNSUPPORTED` for Fortran's order.
 */
export function parseNpy(where: string, bytes: Uint8Array): NumpyArray {
  const text = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('latin1');
  if (bytes.length < START_BYTES || text(0, 6) !== MAGIC) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${where}: this is no array of NumPy`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(6);
  if (version < 1 || version > 3) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${where}: version ${version} of NumPy's format is unknown`);
  }
  const start = version === 1 ? 10 : START_BYTES;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MOST_HEADER_BYTES || start + length > bytes.length) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${where}: the header of ${length} bytes is not all there`);
  }
  const [match, type = '', fortran, sizes = ''] = header.exec(text(start, start + length)) ?? [];
  if (match === undefined) throw new DpmError('ERR_DPM_FILE_HEADER', `${where}: the header of NumPy cannot be read`);
  if (fortran === 'True') {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${where} is in Fortran's order; save it by numpy.ascontiguousarray`);
  }
  const dtype = Object.hasOwn(dtypes, type) ? dtypes[type] : undefined;
  if (dtype === undefined) {
    const known = Object.keys(dtypes).join(', ');
    throw new DpmError('ERR_DPM_TENSOR_DTYPE', `${where} has the type '${type}', it has to be one of ${known}`);
  }
  const shape = sizes
    .split(',')
    .map((size) => size.trim())
    .filter((size) => size !== '')
    .map(Number);
  const data = bytes.subarray(start + length);
  const needed = elementCount(shape) * dtypeBytes[dtype];
  if (!shape.every(Number.isSafeInteger) || needed !== data.length) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SIZE',
      `${where}: ${dtype} [${shape.join(', ')}] needs ${needed} bytes, there are ${data.length}`,
    );
  }
  return { dtype, shape, bytes: data };
}

/** Gives the elements of an array: bytes as they are, others as float32. */
export function valuesOfNumpy({ dtype, shape, bytes }: NumpyArray): Uint8Array | Float32Array {
  if (dtype === 'U8') return bytes;
  // A header need not end where float32 may begin.
  return floatsOf(dtype, bytes.byteOffset % 4 === 0 ? bytes : bytes.slice(), elementCount(shape));
}
