import type { Dtype } from '../../files/safetensors.js';
import { encodeLatin1, numpyDtype, numpyScalar } from './numpy-scalar.js';
import {
  rebuildParameter,
  rebuildTensor,
  rebuildTensorV2,
  rebuildTensorV3,
  torchDtypeNames,
} from './rebuild-tensor.js';
import { Callable, describe, isTuple, StorageClass, type CallContext, type MachineValue } from './values.js';

/** `OrderedDict()`, or `OrderedDict([[key, value], ...])` as Python 2 wrote it. */
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

/** `torch.Size((2, 3))`: a tuple. */
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

/** What an allowed global stands for, undefined for any other. */
export function findGlobal(module: string, name: string): MachineValue | undefined {
  // Names with dots would be attributes of attributes, which no allowed global is.
  return name.includes('.') ? undefined : known.get(`${module}.${name}`);
}
