import { describe, isTuple, NumpyDtype, type CallContext, type MachineValue } from './values.js';

type Read = (view: DataView) => boolean | number | bigint;

function integer(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The dtypes whose scalars become numbers: bytes, and how they are read. */
const codes: ReadonlyMap<string, { bytes: number; read: Read }> = new Map([
  ['b1', { bytes: 1, read: (view: DataView) => view.getUint8(0) !== 0 }],
  ['i1', { bytes: 1, read: (view: DataView) => view.getInt8(0) }],
  ['u1', { bytes: 1, read: (view: DataView) => view.getUint8(0) }],
  ['i2', { bytes: 2, read: (view: DataView) => view.getInt16(0, true) }],
  ['u2', { bytes: 2, read: (view: DataView) => view.getUint16(0, true) }],
  ['i4', { bytes: 4, read: (view: DataView) => view.getInt32(0, true) }],
  ['u4', { bytes: 4, read: (view: DataView) => view.getUint32(0, true) }],
  ['i8', { bytes: 8, read: (view: DataView) => integer(view.getBigInt64(0, true)) }],
  ['u8', { bytes: 8, read: (view: DataView) => integer(view.getBigUint64(0, true)) }],
  ['f4', { bytes: 4, read: (view: DataView) => view.getFloat32(0, true) }],
  ['f8', { bytes: 8, read: (view: DataView) => view.getFloat64(0, true) }],
]);

/** `numpy.dtype(code, align, copy)`, for the numbers that training scripts put into checkpoints. */
export function numpyDtype(args: readonly MachineValue[], context: CallContext): MachineValue {
  const [code] = args;
  if (args.length > 3 || typeof code !== 'string' || !codes.has(code)) {
    const shown = typeof code === 'string' ? `'${code.slice(0, 40)}'` : describe(code);
    return context.fail(
      `numpy.dtype ${shown} is not allowed in a checkpoint, known: ${[...codes.keys()].join(', ')}`,
      'ERR_DPM_PICKLE',
    );
  }
  return new NumpyDtype(code);
}

/** The rest of a dtype, `(version, byte order, ...)`: nothing is kept, only the order of bytes matters. */
export function setNumpyState(dtype: NumpyDtype, state: MachineValue, context: CallContext): void {
  const order = isTuple(state) ? state[1] : undefined;
  if (order !== '<' && order !== '|' && order !== '=') {
    context.fail(`${dtype.name} does not have its lowest byte first`, 'ERR_DPM_UNSUPPORTED');
  }
}

/** `numpy.core.multiarray.scalar(dtype, bytes)` as a number. */
export function numpyScalar(args: readonly MachineValue[], context: CallContext): MachineValue {
  const [dtype, data] = args;
  const format = dtype instanceof NumpyDtype ? codes.get(dtype.code) : undefined;
  // Python 2 wrote bytes as strings, which are taken for text where they can be.
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  if (format === undefined || !(bytes instanceof Uint8Array) || bytes.length !== format.bytes) {
    return context.fail('a numpy scalar is not a dtype and the bytes of one number');
  }
  return format.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** `_codecs.encode(text, 'latin1')`: how protocol 2 writes bytes. */
export function encodeLatin1(args: readonly MachineValue[], context: CallContext): MachineValue {
  const [text, encoding] = args;
  if (typeof text !== 'string' || encoding !== 'latin1' || args.length !== 2) {
    return context.fail("_codecs.encode is allowed only as encode(text, 'latin1')", 'ERR_DPM_PICKLE');
  }
  // The same text can be encoded again and again for a few bytes of the file each time.
  context.spend(Math.ceil(text.length / 16));
  const bytes = Uint8Array.from(Buffer.from(text, 'latin1'));
  return Buffer.from(bytes).toString('latin1') === text
    ? bytes
    : context.fail('_codecs.encode of text that is not latin1');
}
