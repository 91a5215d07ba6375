import type { DpmErrorCode } from '../../base/errors.js';
import { dtypeBytes, type Dtype } from '../../files/safetensors.js';
import { MAX_KEY_LENGTH, MAX_RANK } from './limits.js';
import { PytorchStorage, PytorchTensor } from './tensor.js';
import { describe, isCount, isTuple, StorageClass, type CallContext, type MachineValue } from './values.js';

type Fail = (problem: string, code?: DpmErrorCode) => never;

/** The storages a pickle refers to, by their keys. */
export class StorageTable {
  readonly byKey = new Map<string, PytorchStorage>();

  /**
   * @param fileBytes - Size of the file, which no storage can exceed
   * @param form - Form of the file; the legacy one has a sixth field for parts of storages
   */
  constructor(
    private readonly fileBytes: number,
    private readonly form: 'zip' | 'legacy',
  ) {}

  /** The storage of `('storage', class, key, location, elements)`, the only persistent id that PyTorch writes. */
  fromPersistentId(id: MachineValue, fail: Fail): PytorchStorage {
    const fields = this.form === 'zip' ? 5 : 6;
    if (!isTuple(id) || id[0] !== 'storage' || id.length < 5 || id.length > fields) {
      return fail('a persistent id is not that of a storage', 'ERR_DPM_PICKLE');
    }
    const [, type, key, location, elements, part = null] = id;
    if (!(type instanceof StorageClass)) return fail(`the class of a storage is ${describe(type)}`);
    if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH)
      return fail(`the key of a storage is ${describe(key)}, not a short string`);
    if (typeof location !== 'string') return fail(`the device of storage '${shortKey(key)}' is ${describe(location)}`);
    if (!isCount(elements)) return fail(`storage '${shortKey(key)}' has ${describe(elements)} elements`);
    const whole = this.storage(new PytorchStorage(key, type.dtype, elements), fail);
    return part === null ? whole : partOf(whole, part, fail);
  }

  /** The storage of this key, which has to be the same whenever it is mentioned. */
  private storage(mentioned: PytorchStorage, fail: Fail): PytorchStorage {
    const { key, dtype, elements, bytes } = mentioned;
    const known = this.byKey.get(key);
    if (known !== undefined) {
      return known.dtype === dtype && known.elements === elements
        ? known
        : fail(`storage '${shortKey(key)}' is mentioned with two types or sizes`);
    }
    if (bytes > this.fileBytes) {
      fail(
        `storage '${shortKey(key)}' of ${elements} elements is larger than the file, which has ${this.fileBytes} bytes`,
        'ERR_DPM_TENSOR_SIZE',
      );
    }
    this.byKey.set(key, mentioned);
    return mentioned;
  }
}

/** A key cut to a length that messages can bear. */
export function shortKey(key: string): string {
  return key.slice(0, 80);
}

/** Makes a part of a storage, from `(key, first element, elements)`. */
function partOf(whole: PytorchStorage, part: MachineValue, fail: Fail): PytorchStorage {
  if (!isTuple(part) || part.length !== 3) return fail(`the part of a storage is ${describe(part)}`);
  const [key, firstElement, elements] = part;
  if (typeof key !== 'string' || !isCount(firstElement) || !isCount(elements)) {
    return fail('the part of a storage is not (key, offset, size)');
  }
  if (firstElement > whole.elements || elements > whole.elements - firstElement) {
    return fail(
      `elements ${firstElement} to ${firstElement + elements} of storage '${shortKey(whole.key)}' are used, it has ${whole.elements}`,
      'ERR_DPM_TENSOR_SIZE',
    );
  }
  return new PytorchStorage(key, whole.dtype, elements, { of: whole, firstElement });
}

function sizes(value: MachineValue | undefined, what: string, fail: Fail): number[] {
  if (isTuple(value) && value.length <= MAX_RANK && value.every(isCount)) return [...value];
  return fail(`the ${what} of a tensor is not a tuple of at most ${MAX_RANK} sizes`, 'ERR_DPM_TENSOR_SHAPE');
}

/** Number of elements, checked to be an exact integer together with the bytes they take. */
function checkedCount(shape: readonly number[], dtype: Dtype, fail: Fail): number {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(count * dtypeBytes[dtype])) {
      fail(`a tensor of shape [${shape.join(', ')}] is too large`, 'ERR_DPM_TENSOR_SIZE');
    }
  }
  return count;
}

/** Refuses a tensor that reaches beyond its storage. */
function checkInside(tensor: PytorchTensor, elements: number, fail: Fail): void {
  const { shape, stride, firstElement, storage, dtype } = tensor;
  const available = Math.floor(storage.bytes / dtypeBytes[dtype]);
  // Terms are not negative: as soon as the sum exceeds what a double counts exactly, it exceeds the storage.
  const last = elements === 0 ? firstElement - 1 : firstElement + tensor.span - 1;
  if (last >= available) {
    fail(
      `a tensor of shape [${shape.join(', ')}], strides [${stride.join(', ')}] and offset ${firstElement} reaches beyond storage '${storage.key.slice(0, 80)}' of ${available} elements`,
      'ERR_DPM_TENSOR_SIZE',
    );
  }
}

function rebuild(args: readonly MachineValue[], dtype: MachineValue, fail: Fail): PytorchTensor {
  const [storage, firstElement, size, strides] = args;
  if (!(storage instanceof PytorchStorage)) return fail(`the storage of a tensor is ${describe(storage)}`);
  if (!isCount(firstElement)) return fail(`the offset of a tensor is ${describe(firstElement ?? null)}`);
  const known = storage.dtype ?? dtypeOf(dtype);
  if (known === undefined) return fail(`the dtype of a tensor is ${describe(dtype)}`, 'ERR_DPM_TENSOR_DTYPE');
  const shape = sizes(size, 'shape', fail);
  const stride = sizes(strides, 'strides', fail);
  if (stride.length !== shape.length) {
    fail(`a tensor has ${shape.length} sizes and ${stride.length} strides`, 'ERR_DPM_TENSOR_SHAPE');
  }
  const tensor = new PytorchTensor(storage, known, shape, stride, firstElement);
  checkInside(tensor, checkedCount(shape, known, fail), fail);
  return tensor;
}

/** Names of PyTorch's dtypes. */
const torchDtypes: ReadonlyMap<string, Dtype> = new Map<string, Dtype>([
  ['float32', 'F32'],
  ['float64', 'F64'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['bool', 'BOOL'],
  ['uint8', 'U8'],
  ['int8', 'I8'],
  ['int16', 'I16'],
  ['uint16', 'U16'],
  ['int32', 'I32'],
  ['uint32', 'U32'],
  ['int64', 'I64'],
  ['uint64', 'U64'],
]);

/** All names a dtype has as a global. */
export const torchDtypeNames: readonly string[] = [...torchDtypes.keys()].map((name) => `torch.${name}`);

function dtypeOf(value: MachineValue): Dtype | undefined {
  return typeof value === 'string' && value.startsWith('torch.') ? torchDtypes.get(value.slice(6)) : undefined;
}

function countArguments(args: readonly MachineValue[], least: number, most: number, context: CallContext): void {
  if (args.length < least || args.length > most) {
    context.fail(`${args.length} arguments are given, it takes ${least} to ${most}`);
  }
}

/** Refuses marks of views that negate or conjugate the stored values. */
function refuseMarks(marks: MachineValue | undefined, fail: Fail): void {
  const none = marks === undefined || marks === null || (marks instanceof Map && marks.size === 0);
  if (!none) fail('a tensor is a negated or conjugated view; save its clone', 'ERR_DPM_UNSUPPORTED');
}

/** Calls `_rebuild_tensor(storage, offset, size, stride)`. */
export function rebuildTensor(args: readonly MachineValue[], context: CallContext): MachineValue {
  countArguments(args, 4, 4, context);
  return rebuild(args, null, context.fail);
}

/** Calls `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, marks)`. */
export function rebuildTensorV2(args: readonly MachineValue[], context: CallContext): MachineValue {
  countArguments(args, 6, 7, context);
  refuseMarks(args[6], context.fail);
  return rebuild(args, null, context.fail);
}

/** Calls `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, marks)`. */
export function rebuildTensorV3(args: readonly MachineValue[], context: CallContext): MachineValue {
  countArguments(args, 7, 8, context);
  refuseMarks(args[7], context.fail);
  return rebuild(args, args[6] ?? null, context.fail);
}

/** Calls `_rebuild_parameter(tensor, requires_grad, hooks)`, also with a fourth argument: a parameter's attributes. */
export function rebuildParameter(args: readonly MachineValue[], context: CallContext): MachineValue {
  countArguments(args, 3, 4, context);
  const [tensor] = args;
  return tensor instanceof PytorchTensor ? tensor : context.fail(`a parameter is ${describe(tensor)}`);
}
