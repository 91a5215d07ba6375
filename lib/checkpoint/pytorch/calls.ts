import type { Dtype } from '../../files/safetensors.js';
import type { Handler, Machine } from './machine.js';
import type { OpcodeName } from './opcodes.js';
import {
  rebuildParameter,
  rebuildTensor,
  rebuildTensorV2,
  rebuildTensorV3,
  torchDtypeNames,
} from './pickled-tensors.js';
import {
  Callable,
  describe,
  isTuple,
  NumpyDtype,
  plainInteger,
  StorageClass,
  type CallContext,
  type MachineValue,
} from './values.js';

type Read = (view: DataView) => boolean | number | bigint;

/** The dtypes whose scalars become numbers: bytes, and how they are read. */
const codes: ReadonlyMap<string, { bytes: number; read: Read }> = new Map([
  ['b1', { bytes: 1, read: (view: DataView) => view.getUint8(0) !== 0 }],
  ['i1', { bytes: 1, read: (view: DataView) => view.getInt8(0) }],
  ['u1', { bytes: 1, read: (view: DataView) => view.getUint8(0) }],
  ['i2', { bytes: 2, read: (view: DataView) => view.getInt16(0, true) }],
  ['u2', { bytes: 2, read: (view: DataView) => view.getUint16(0, true) }],
  ['i4', { bytes: 4, read: (view: DataView) => view.getInt32(0, true) }],
  ['u4', { bytes: 4, read: (view: DataView) => view.getUint32(0, true) }],
  ['i8', { bytes: 8, read: (view: DataView) => plainInteger(view.getBigInt64(0, true)) }],
  ['u8', { bytes: 8, read: (view: DataView) => plainInteger(view.getBigUint64(0, true)) }],
  ['f4', { bytes: 4, read: (view: DataView) => view.getFloat32(0, true) }],
  ['f8', { bytes: 8, read: (view: DataView) => view.getFloat64(0, true) }],
]);

/** Calls `numpy.dtype(code, align, copy)`, for the numbers that training scripts put into checkpoints. */
function numpyDtype(args: readonly MachineValue[], context: CallContext): MachineValue {
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
function setNumpyState(dtype: NumpyDtype, state: MachineValue, context: CallContext): void {
  const order = isTuple(state) ? state[1] : undefined;
  if (order !== '<' && order !== '|' && order !== '=') {
    context.fail(`${dtype.name} does not have its lowest byte first`, 'ERR_DPM_UNSUPPORTED');
  }
}

/** Calls `numpy.core.multiarray.scalar(dtype, bytes)`; gives a number. */
function numpyScalar(args: readonly MachineValue[], context: CallContext): MachineValue {
  const [dtype, data] = args;
  const format = dtype instanceof NumpyDtype ? codes.get(dtype.code) : undefined;
  // Bytes of Python 2 are strings, read as text if possible.
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  if (format === undefined || !(bytes instanceof Uint8Array) || bytes.length !== format.bytes) {
    return context.fail('a numpy scalar is not a dtype and the bytes of one number');
  }
  return format.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Calls `_codecs.encode(text, 'latin1')`, by which protocol 2 writes bytes. */
function encodeLatin1(args: readonly MachineValue[], context: CallContext): MachineValue {
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

/** Calls `OrderedDict()`, or `OrderedDict([[key, value], ...])` as Python 2 wrote it. */
function orderedDict(args: readonly MachineValue[], context: CallContext): MachineValue {
  const dictionary = context.newDictionary();
  const [pairs = []] = args;
  if (!Array.isArray(pairs) || args.length > 1) return context.fail('an OrderedDict is not made of a list of pairs');
  context.spend(pairs.length);
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) return context.fail('an OrderedDict is not made of pairs');
    context.setItem(dictionary, pair[0] ?? null, pair[1] ?? null);
  }
  return dictionary;
}

/** Calls `torch.Size((2, 3))`; gives a tuple. */
function torchSize(args: readonly MachineValue[], context: CallContext): MachineValue {
  const [sizes] = args;
  return args.length === 1 && isTuple(sizes) ? sizes : context.fail(`a torch.Size is ${describe(sizes)}`);
}

const storages: readonly (readonly [name: string, dtype: Dtype | null])[] = [
  ['torch.FloatStorage', 'F32'],
  ['torch.DoubleStorage', 'F64'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
  ['torch.storage.UntypedStorage', null],
];

const functions: readonly (readonly [name: string, call: Callable['call']])[] = [
  ['collections.OrderedDict', orderedDict],
  ['torch.Size', torchSize],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_tensor_v2', rebuildTensorV2],
  ['torch._utils._rebuild_tensor_v3', rebuildTensorV3],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
  ['numpy.dtype', numpyDtype],
  ['numpy.core.multiarray.scalar', numpyScalar],
  ['numpy._core.multiarray.scalar', numpyScalar],
  ['_codecs.encode', encodeLatin1],
];

const known: ReadonlyMap<string, MachineValue> = new Map<string, MachineValue>([
  ...storages.map(([name, dtype]) => [name, new StorageClass(name, dtype)] as const),
  ...functions.map(([name, call]) => [name, new Callable(name, call)] as const),
  ...torchDtypeNames.map((name) => [name, name] as const),
]);

/** Finds the meaning of an allowed global, undefined for any other. */
function findGlobal(module: string, name: string): MachineValue | undefined {
  // Names with dots would be attributes of attributes, which no allowed global is.
  return name.includes('.') ? undefined : known.get(`${module}.${name}`);
}

const printable = (text: string): string => text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');

function pushGlobal(machine: Machine, module: string, name: string): void {
  const global = findGlobal(module, name);
  if (global === undefined) {
    machine.fail(
      `global '${printable(`${module}.${name}`)}' is not allowed in a checkpoint; save the state dict alone, which needs tensors and dictionaries only`,
      'ERR_DPM_PICKLE',
    );
  } else machine.push(global);
}

function stackGlobal(machine: Machine): void {
  const name = machine.pop();
  const module = machine.pop();
  if (typeof name !== 'string' || typeof module !== 'string') machine.fail('a global has no name');
  else pushGlobal(machine, module, name);
}

function reduce(machine: Machine): void {
  const args = machine.pop();
  const callable = machine.pop();
  if (!isTuple(args)) machine.fail(`the arguments of a call are ${describe(args)}`);
  else if (callable instanceof Callable) machine.push(callable.call(args, machine));
  else machine.fail(`${describe(callable)} cannot be called in a checkpoint`, 'ERR_DPM_PICKLE');
}

/** Ignores the notes that PyTorch attaches to dictionaries of weights (`_metadata`). */
function build(machine: Machine): void {
  const state: MachineValue = machine.pop();
  const target = machine.top();
  if (target instanceof NumpyDtype) setNumpyState(target, state, machine);
  else if (!(target instanceof Map && state instanceof Map)) {
    machine.fail(`the state of ${describe(target)} is ${describe(state)}, which is not allowed`, 'ERR_DPM_PICKLE');
  }
}

function persistentId(machine: Machine): void {
  const id = machine.pop();
  if (machine.storages === null) machine.fail('there is a storage where none can be');
  else machine.push(machine.storages.fromPersistentId(id, machine.fail));
}

/** Opcodes that name globals and call them; only the functions above can run. */
export const callOpcodes: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  GLOBAL: (machine) => {
    const module = machine.reader.line() ?? machine.fail('the name of a module does not end');
    const name = machine.reader.line() ?? machine.fail('the name of a global does not end');
    pushGlobal(machine, module, name);
  },
  STACK_GLOBAL: stackGlobal,
  REDUCE: reduce,
  BUILD: build,
  BINPERSID: persistentId,
};
